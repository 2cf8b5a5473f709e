"""The server's pages: `POST /`, the streams, the probes."""

import sqlite3
import time
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import structlog
from aiohttp import web

from resonate_fleet.contract.words import PROTOCOL
from resonate_fleet.server.metrics import ServerMetrics
from resonate_fleet.server.protocol import ServerReply
from resonate_fleet.server.state import State
from resonate_fleet.server.streams import AtCapacity, Streams

#: Largest body in bytes; server v0.9.8 answers 413 above it (its framework's default).
_LARGEST = 2 * 1024 * 1024

_SEARCHES = ("promise.search", "task.search", "schedule.search")

log = structlog.get_logger()


class RequestHead(msgspec.Struct, kw_only=True):
    corr_id: str = msgspec.field(name="corrId")
    version: str
    auth: str | None = None
    debug_time: int | None = msgspec.field(default=None, name="resonate:debug_time")


class Envelope(msgspec.Struct, kw_only=True):
    kind: Annotated[str, msgspec.Meta(min_length=1)]
    head: RequestHead
    data: dict[str, Any]


class ServerPages:
    """Handlers over one state. `now` returns Unix milliseconds."""

    def __init__(
        self,
        state: State,
        streams: Streams,
        metrics: ServerMetrics,
        now: Callable[[], int],
        *,
        forbid_search: bool,
    ) -> None:
        self._state = state
        self._streams = streams
        self._metrics = metrics
        self._now = now
        self._forbidden = _SEARCHES if forbid_search else ()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post("/", self._api)
        app.router.add_get("/poll/{group}/{id}", self._poll, allow_head=False)
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        for old in ("promises", "schedules", "tasks"):
            app.router.add_route("*", f"/{old}", self._older_protocol)
            app.router.add_route("*", f"/{old}/{{path:.+}}", self._older_protocol)
        app.on_shutdown.append(self._end_streams)
        return app

    async def _api(self, request: web.Request) -> web.Response:
        began = time.perf_counter()
        body = await request.read()
        try:
            envelope = msgspec.json.decode(body, type=Envelope)
        except (ValueError, RecursionError) as error:
            return _respond(*_context(body), ServerReply(400, f"Invalid request envelope: {error}"))
        kind, head = envelope.kind, envelope.head
        if head.version != PROTOCOL:
            reply = ServerReply(400, f"Protocol version {head.version!r}; accepted: {PROTOCOL}")
            return _respond(kind, head.corr_id, reply)
        reply = self._answer(envelope)
        self._metrics.requests.labels(kind, str(reply.status)).inc()
        self._metrics.duration.labels(kind).observe(time.perf_counter() - began)
        log.debug("request", kind=kind, status=reply.status, corr_id=head.corr_id)
        return _respond(kind, head.corr_id, reply)

    def _answer(self, envelope: Envelope) -> ServerReply:
        if envelope.kind in self._forbidden:
            return ServerReply(403, "Forbidden")
        try:
            return self._state.apply(
                self._now(), envelope.kind, envelope.data, envelope.head.corr_id
            )
        except sqlite3.Error as error:
            log.exception("store.failed", kind=envelope.kind)
            return ServerReply(500, f"The store failed: {error}")

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        """Messages for one member of a group as server-sent events, without keep-alive lines."""
        group, member = request.match_info["group"], request.match_info["id"]
        try:
            with self._streams.listening(group, member) as listener:
                response = web.StreamResponse(
                    headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
                )
                await response.prepare(request)
                log.debug("stream.opened", group=group, member=member)
                while (payload := await listener.next()) is not None:
                    await response.write(b"data: " + payload + b"\n\n")
                return response
        except AtCapacity:
            return web.Response(status=503, text="too many streams")
        except ConnectionResetError:  # the member is gone; what was in its buffer is lost
            return response

    async def _end_streams(self, _: web.Application) -> None:
        self._streams.close()

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _ready(self, _: web.Request) -> web.Response:
        return web.Response(status=200 if self._state.usable() else 503)

    async def _older_protocol(self, _: web.Request) -> web.Response:
        return web.json_response({"error": "this path belongs to an older protocol"}, status=410)


def _context(body: bytes) -> tuple[str, str]:
    """Return kind and correlation id of a request that is no envelope, as far as it has them."""
    try:
        raw = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        raw = None
    raw = raw if isinstance(raw, dict) else {}
    head = raw.get("head")
    corr_id = head.get("corrId") if isinstance(head, dict) else None
    kind = raw.get("kind")
    return (
        kind if isinstance(kind, str) else "unknown",
        corr_id if isinstance(corr_id, str) else "0",
    )


def _respond(kind: str, corr_id: str, reply: ServerReply) -> web.Response:
    head = {"corrId": corr_id, "status": reply.status, "version": PROTOCOL}
    body = msgspec.json.encode({"kind": kind, "head": head, "data": reply.data})
    return web.Response(body=body, status=reply.status, content_type="application/json")

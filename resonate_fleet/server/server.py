"""The running server, in a process or a test: its ports, its pages, its two loops, and its end."""

import asyncio
import os
import signal
import sqlite3
import time
from contextlib import AsyncExitStack, suppress
from typing import Annotated, Any, Self

import msgspec
import structlog
from aiohttp import web

from resonate_fleet.contract import exits, logs
from resonate_fleet.contract.clock import now_ms
from resonate_fleet.contract.metrics import Exporter
from resonate_fleet.contract.settings import Mistake, effective, taken_port, unknown
from resonate_fleet.contract.words import PROTOCOL
from resonate_fleet.server.metrics import INSTRUMENTS
from resonate_fleet.server.protocol import ServerReply
from resonate_fleet.server.settings import DevServerSettings, foreign
from resonate_fleet.server.state import Message, State
from resonate_fleet.server.store import Store
from resonate_fleet.server.streams import AtCapacity, Streams, poll_address

#: Largest body in bytes; server v0.9.8 answers 413 above it (its framework's default).
_LARGEST = 2 * 1024 * 1024
_SEARCHES = ("promise.search", "task.search", "schedule.search")
log = structlog.get_logger()


class RequestHead(msgspec.Struct, kw_only=True, rename="camel"):
    corr_id: str
    version: str
    auth: str | None = None
    debug_time: int | None = msgspec.field(default=None, name="resonate:debug_time")


class Envelope(msgspec.Struct, kw_only=True):
    kind: Annotated[str, msgspec.Meta(min_length=1)]
    head: RequestHead
    data: dict[str, Any]


class Server:
    """A running server while used as an async context manager.

    After entering, `url` is its address and `metrics_url` that of its metrics. Leaving it ends
    the streams, lets open requests end, stops the loops and closes the store, in this order.
    """

    def __init__(self, settings: DevServerSettings) -> None:
        self.settings = settings
        self.exporter = Exporter("resonate_", INSTRUMENTS)
        self._metrics = self.exporter.made
        self.streams = Streams(settings.max_connections, settings.buffer_size)
        self.url = ""
        self.metrics_url = ""
        self._now = 0
        self._stack = AsyncExitStack()

    def now(self) -> int:
        """Return Unix milliseconds that never go back."""
        self._now = max(self._now, now_ms())
        return self._now

    async def __aenter__(self) -> Self:
        settings = self.settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        async with AsyncExitStack() as stack:
            self._store = Store(settings.store, settings.retry_timeout)
            stack.callback(self._store.close)
            self.state = State(self._store, one_origin=settings.strict_origin)
            port = await self._serve(stack, self._metrics_app(), settings.metrics_port)
            self.metrics_url = f"http://{host}:{port}/metrics"
            for loop in (self._deliver_messages(), self._watch_time()):
                stack.push_async_callback(_end, asyncio.create_task(loop))
            port = await self._serve(stack, self._api_app(), settings.port)
            self.url = settings.url or f"http://{host}:{port}"
            self._stack = stack.pop_all()
        log.info("server.ready", url=self.url, metrics=self.metrics_url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        log.info("server.stopped")

    async def _serve(self, stack: AsyncExitStack, app: web.Application, port: int) -> int:
        """Open a port and return its number."""
        # A stream's handler learns that its member is gone only by being cancelled.
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=self.settings.shutdown_timeout / 1000,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self.settings.bind, port).start()
        return int(runner.addresses[0][1])

    # Pages.

    def _metrics_app(self) -> web.Application:
        async def page(_: web.Request) -> web.Response:
            page = self.exporter.page("")
            return web.Response(body=page.body, headers={"Content-Type": page.content_type})

        app = web.Application()
        app.router.add_get("/metrics", page)
        return app

    def _api_app(self) -> web.Application:
        async def health(_: web.Request) -> web.Response:
            return web.Response()

        async def ready(_: web.Request) -> web.Response:
            return web.Response(status=200 if self._store.usable() else 503)

        async def older(_: web.Request) -> web.Response:
            says = {"error": "this path belongs to an older protocol"}
            return web.json_response(says, status=410)

        async def end_streams(_: web.Application) -> None:
            self.streams.close()

        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post("/", self._api)
        app.router.add_get("/poll/{group}/{id}", self._poll, allow_head=False)
        app.router.add_get("/health", health)
        app.router.add_get("/ready", ready)
        for old in ("promises", "schedules", "tasks"):
            app.router.add_route("*", f"/{old}", older)
            app.router.add_route("*", f"/{old}/{{path:.+}}", older)
        app.on_shutdown.append(end_streams)
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
        self._metrics["request"].labels(kind, str(reply.status)).inc()
        self._metrics["request_duration_seconds"].labels(kind).observe(time.perf_counter() - began)
        log.debug("request", kind=kind, status=reply.status, corr_id=head.corr_id)
        return _respond(kind, head.corr_id, reply)

    def _answer(self, envelope: Envelope) -> ServerReply:
        kind = envelope.kind
        if self.settings.forbid_search and kind in _SEARCHES:
            return ServerReply(403, "Forbidden")
        try:
            return self.state.apply(self.now(), kind, envelope.data, envelope.head.corr_id)
        except sqlite3.Error as error:
            log.exception("store.failed", kind=kind)
            return ServerReply(500, f"The store failed: {error}")

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        """Messages for one member of a group as server-sent events, without keep-alive lines."""
        group, member = request.match_info["group"], request.match_info["id"]
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        response = web.StreamResponse(headers=headers)
        try:
            with self.streams.listening(group, member) as listener:
                await response.prepare(request)
                log.debug("stream.opened", group=group, member=member)
                while (payload := await listener.next()) is not None:
                    await response.write(b"data: " + payload + b"\n\n")
        except AtCapacity:
            return web.Response(status=503, text="too many streams")
        except ConnectionResetError:
            pass  # the member is gone; what was in its buffer is lost
        return response

    # Loops.

    async def _deliver_messages(self) -> None:
        """Take batch after batch off the queue and hand each message to a listener."""
        while True:
            await asyncio.sleep(self.settings.message_interval / 1000)
            try:
                batch = self.state.take_outgoing(self.settings.message_batch)
            except sqlite3.Error:
                log.exception("store.failed", kind="messages")
                continue
            for message in batch:
                self._metrics["messages"].labels(message.kind).inc()
                self._deliver(message)
                await asyncio.sleep(0)  # lets the listener empty its buffer in between

    def _deliver(self, message: Message) -> None:
        address = poll_address(message.address)
        if address is None:
            log.warning("message.dropped", to=message.address, why="only poll:// is served here")
            return
        head = {"serverUrl": self.url} if message.kind == "execute" else {}
        payload = msgspec.json.encode({"kind": message.kind, "head": head, "data": message.data})
        if not self.streams.send(address, payload):
            log.debug("message.dropped", to=message.address, why="nobody listens or buffer full")

    async def _watch_time(self) -> None:
        """Look for what has become due, again and again."""
        while True:
            await asyncio.sleep(self.settings.scan_interval / 1000)
            try:
                self._metrics["schedule_promises"].inc(self.state.tick(self.now()))
            except sqlite3.Error:
                log.exception("store.failed", kind="timeouts")


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _context(body: bytes) -> tuple[str, str]:
    """Return kind and correlation id of a request that is no envelope, as far as it has them."""
    with suppress(ValueError, RecursionError):
        match msgspec.json.decode(body):
            case {"kind": str(kind), "head": {"corrId": str(corr_id)}}:
                return kind, corr_id
            case {"kind": str(kind)}:
                return kind, "0"
            case {"head": {"corrId": str(corr_id)}}:
                return "unknown", corr_id
    return "unknown", "0"


def _respond(kind: str, corr_id: str, reply: ServerReply) -> web.Response:
    head = {"corrId": corr_id, "status": reply.status, "version": PROTOCOL}
    body = msgspec.json.encode({"kind": kind, "head": head, "data": reply.data})
    return web.Response(body=body, status=reply.status, content_type="application/json")


async def live(settings: DevServerSettings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    logs.configure(settings.log_format, settings.log_level, "devserver")
    log.info("settings", **effective(settings))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    unused = foreign(os.environ) + unknown(DevServerSettings, os.environ)
    if unused:
        log.warning("settings.unused", names=unused)
    try:
        async with Server(settings):
            await stop.wait()
    except OSError as error:
        raise taken_port(settings, error) from None
    except sqlite3.OperationalError as error:
        raise exits.CommandFailed(f"the store {settings.store} cannot be used: {error}") from None
    except sqlite3.Error as error:  # another kind of file
        says = f"RESONATE_STORAGE__SQLITE__PATH is {settings.store!r}: {error}"
        raise Mistake(f"{says}; accepted: a file that can be written") from None
    return exits.OK

"""The console: a page, its event stream and its acts, and the pages of probes and scrapes.

It runs in a thread with a loop of its own, so that the matcher never waits for a page. It reads
the live state and causes no searches.

`steward.guards` says who may ask. Acts need the console's token; there are no cookies.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from typing import Any, Final, Self

import msgspec
import structlog
from aiohttp import web

from resonate_fleet.contract.loops import work_until
from resonate_fleet.contract.pages import Handler
from resonate_fleet.contract.sockets import most_strangers, say_once
from resonate_fleet.contract.wire import Refused, Unreachable
from resonate_fleet.steward import guards
from resonate_fleet.steward.guards import Handle
from resonate_fleet.steward.live import Feed

#: Seconds between two messages of a stream.
MESSAGE_SECONDS: Final = 0.25
#: Most open streams, and most messages that wait for a reader before it is cut off.
MOST_STREAMS: Final = 100
MOST_UNSENT: Final = 20
#: Bytes of a request's body.
LARGEST: Final = 64 * 1024
#: Seconds that the answer to a wrong token takes.
WRONG_TOKEN_SECONDS: Final = 0.5
_TYPES: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}

_UNHEARD = logging.getLogger("resonate_fleet.console")
_UNHEARD.setLevel(logging.CRITICAL + 1)

#: Answers a question to the steward by the request's parameters.
Ask = Callable[[Mapping[str, str]], Coroutine[Any, Any, Any]]
#: Does something to jobs for the address that asked; returns the answer.
Act = Callable[[list[str], str], Coroutine[Any, Any, Any]]


class Refusal(Exception):  # noqa: N818 - what the asker did, told in one line
    """A question or an act that is refused with `status` and one line."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Jobs(msgspec.Struct):
    jobs: list[str]


@dataclass(frozen=True)
class ConsoleOptions:
    """`hosts`: further names under which it may be reached. `peers`: addresses of other consoles.

    Without a `token` the page allows no acts. `failed` gets the reason, once a minute, while no
    connection can be accepted.
    """

    token: str | None = None
    hosts: Sequence[str] = ()
    peers: Sequence[str] = ()
    failed: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Endpoints:
    """What the console calls: `feed` and `pages` in threads, the others in the steward's loop."""

    feed: Feed
    pages: Mapping[str, Handler]
    asks: Mapping[str, Ask]
    acts: Mapping[str, Act]
    #: Acts that need no token because they can do no harm.
    open_acts: Mapping[str, Act] = field(default_factory=dict)


class Console:
    """Serves while used as a context manager; `port` is the one in use then.

    Raises:
        OSError: the port cannot be opened (on entering).
    """

    def __init__(
        self, address: tuple[str, int], options: ConsoleOptions, endpoints: Endpoints
    ) -> None:
        self._address = address
        self._options = options
        self._endpoints = endpoints
        self._steward = asyncio.get_running_loop()
        self._streams: dict[asyncio.Queue[bytes], asyncio.Transport] = {}
        self._limit = guards.ConnectionLimit(most_strangers())
        self.port = 0

    @property
    def streams(self) -> int:
        """How many event streams are open."""
        return len(self._streams)

    def __enter__(self) -> Self:
        opened: Future[int] = Future()
        run = partial(self._run, opened)
        self._thread = threading.Thread(target=run, name="console", daemon=True)
        self._thread.start()
        self.port = opened.result()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # it has failed, and its loop is closed
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self, opened: "Future[int]") -> None:
        try:
            asyncio.run(self._serve(opened))
        except Exception as error:  # noqa: BLE001 - raised where the console was asked for, or said
            if opened.done():
                structlog.get_logger().exception("console.failed")
            else:
                opened.set_exception(error)

    async def _serve(self, opened: "Future[int]") -> None:
        self._loop = asyncio.get_running_loop()
        say_once(self._loop, self._options.failed)
        # The first use of threads imports a module: now, while there are descriptors for it.
        await asyncio.to_thread(lambda: None)
        self._stop = asyncio.Event()
        runner = web.AppRunner(
            self._app(),
            access_log=None,
            # It would log what strangers send. Defects of ours are logged where they are caught.
            logger=_UNHEARD,
            keepalive_timeout=15.0,
            shutdown_timeout=0.5,
        )
        await runner.setup()
        self._limit.watch(runner.server)
        # What is accepted in one go leaves descriptors too.
        await web.TCPSite(runner, *self._address, backlog=self._limit.most).start()
        opened.set_result(int(runner.addresses[0][1]))
        try:
            await work_until(self._stop.wait(), self._send_changes())
        finally:
            for transport in list(self._streams.values()):
                transport.abort()
            await runner.cleanup()

    def _app(self) -> web.Application:
        guard = guards.guard(self._options.hosts, self._options.peers)
        app = web.Application(client_max_size=LARGEST, middlewares=[self._limit.asked, guard])
        for path, handler in self._endpoints.pages.items():
            app.router.add_get(path, partial(_page, handler=handler))
        for name, ask in self._endpoints.asks.items():
            app.router.add_get(f"/{name}", partial(self._asked, ask=ask))
        app.router.add_post("/acts/{act}", self._act)
        for name, act in self._endpoints.open_acts.items():
            app.router.add_post(f"/{name}", partial(self._do, act=act))
        app.router.add_get("/events", self._events, allow_head=False)  # it would take a stream
        for asset in files("resonate_fleet.web").iterdir():
            if asset.name.rpartition(".")[2] in _TYPES:
                app.router.add_get(f"/{asset.name}", _asset(asset.name))
        app.router.add_get("/", _asset("index.html"))
        return app

    # The stream.

    async def _send_changes(self) -> None:
        while True:
            await asyncio.sleep(MESSAGE_SECONDS)
            if not self._streams:
                continue
            try:
                message = await asyncio.to_thread(self._endpoints.feed.change)
            except Exception:  # noqa: BLE001 - its loop is stuck, say: streams go on afterwards
                structlog.get_logger().exception("console.failed", path="/events")
                continue
            for queue, transport in list(self._streams.items()):
                try:
                    queue.put_nowait(message)
                except asyncio.QueueFull:  # a slow reader is cut off, whatever it waits for
                    transport.abort()

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self._streams) >= MOST_STREAMS:
            return guards.refused(503, "too many streams are open")
        response = web.StreamResponse(headers=guards.headers(self._options.peers))
        response.content_type = "text/event-stream"
        response.headers["X-Accel-Buffering"] = "no"
        await response.prepare(request)
        if not self._streams:
            # Nobody has listened for a while: the feed's last state is an old one.
            await asyncio.to_thread(self._endpoints.feed.change)
        queue: asyncio.Queue[bytes] = asyncio.Queue(MOST_UNSENT)
        if request.transport is None:  # it has gone already
            return response
        self._streams[queue] = request.transport
        try:
            await response.write(self._endpoints.feed.whole())
            while message := await queue.get():
                await response.write(message)
        except ConnectionError:
            pass
        finally:
            del self._streams[queue]
        return response

    # Asks and acts, in the steward's loop.

    async def _asked(self, request: web.Request, ask: Ask) -> web.StreamResponse:
        return await self._answer(ask({**request.query, **request.match_info}))

    async def _act(self, request: web.Request) -> web.StreamResponse:
        if not self._options.token:
            return guards.refused(403, "acts are switched off: STEWARD_CONSOLE_TOKEN is not set")
        if not guards.has_token(request, self._options.token):
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            return guards.refused(401, "the token is not the console's")
        act = self._endpoints.acts.get(request.match_info["act"])
        if act is None:
            return guards.refused(404, "there is no such act")
        return await self._do(request, act)

    async def _do(self, request: web.Request, act: Act) -> web.StreamResponse:
        try:
            body = msgspec.json.decode(await request.read(), type=_Jobs)
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            return guards.refused(400, f"the body is not a list of jobs: {error}")
        return await self._answer(act(body.jobs, request.remote or "unknown"))

    async def _answer(self, work: Coroutine[Any, Any, Any]) -> web.StreamResponse:
        asked = asyncio.run_coroutine_threadsafe(work, self._steward)
        try:
            found = await asyncio.wrap_future(asked)
        except Refusal as refusal:
            return guards.refused(refusal.status, str(refusal))
        except (Unreachable, Refused) as failed:
            return guards.refused(502, str(failed))
        except Exception:  # noqa: BLE001 - a defect of ours must not take the page away
            structlog.get_logger().exception("console.failed")
            return guards.refused(500, "the steward failed at this")
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")


async def _page(request: web.Request, handler: Handler) -> web.StreamResponse:
    page = await asyncio.to_thread(handler, request.headers.get("Accept", ""))
    headers = {"Content-Type": page.content_type}
    return web.Response(body=page.body, status=page.status, headers=headers)


def _asset(name: str) -> Handle:
    body = files("resonate_fleet.web").joinpath(name).read_bytes()
    kind = _TYPES[name.rpartition(".")[2]]

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=kind, charset="utf-8")

    return answer

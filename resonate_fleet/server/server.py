"""The server as a process or a test holds it: sockets, the two loops, and their end."""

import asyncio
import sqlite3
from contextlib import AsyncExitStack, suppress
from typing import Self

import msgspec
import structlog
from aiohttp import web

from resonate_fleet.contract.clock import now_ms
from resonate_fleet.server.addresses import poll_address
from resonate_fleet.server.http import ServerPages
from resonate_fleet.server.metrics import ServerMetrics
from resonate_fleet.server.settings import DevServerSettings
from resonate_fleet.server.state import Message, State
from resonate_fleet.server.store import Store
from resonate_fleet.server.streams import Streams

log = structlog.get_logger()


class SteadyClock:
    """Unix milliseconds that never go back."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        self._last = max(self._last, now_ms())
        return self._last


class Server:
    """A running server while used as an async context manager.

    After entering, `url` is its address and `metrics_url` that of its metrics. Leaving it ends
    the streams, lets open requests end, stops the loops and closes the store, in this order.
    """

    def __init__(self, settings: DevServerSettings) -> None:
        self.settings = settings
        self.metrics = ServerMetrics()
        self.streams = Streams(settings.max_connections, settings.buffer_size)
        self.url = ""
        self.metrics_url = ""
        self.now = SteadyClock()
        self._stack = AsyncExitStack()

    @property
    def _host(self) -> str:
        host = self.settings.host
        return f"[{host}]" if ":" in host else host

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            store = Store(self.settings.store)
            stack.callback(store.close)
            self.state = State(
                store, self.settings.retry_timeout, one_origin=self.settings.strict_origin
            )
            port = await self._serve(stack, self._metrics_app(), self.settings.metrics_port)
            self.metrics_url = f"http://{self._host}:{port}/metrics"
            for loop in (self._deliver_messages(), self._watch_time()):
                stack.push_async_callback(_end, asyncio.create_task(loop))
            port = await self._serve(stack, self._api_app(), self.settings.port)
            self.url = self.settings.url or f"http://{self._host}:{port}"
            self._stack = stack.pop_all()
        log.info("server.ready", url=self.url, metrics=self.metrics_url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        log.info("server.stopped")

    def _api_app(self) -> web.Application:
        pages = ServerPages(
            self.state,
            self.streams,
            self.metrics,
            self.now,
            forbid_search=self.settings.forbid_search,
        )
        return pages.app()

    def _metrics_app(self) -> web.Application:
        async def page(_: web.Request) -> web.Response:
            return web.Response(
                body=self.metrics.page(), headers={"Content-Type": self.metrics.content_type}
            )

        app = web.Application()
        app.router.add_get("/metrics", page)
        return app

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

    async def _deliver_messages(self) -> None:
        """Take a batch off the queue and hand each message to a listener, again and again."""
        while True:
            await asyncio.sleep(self.settings.message_interval / 1000)
            try:
                batch = self.state.take_outgoing(self.settings.message_batch)
            except sqlite3.Error:
                log.exception("store.failed", kind="messages")
                continue
            for message in batch:
                self.metrics.messages.labels(message.kind).inc()
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
                self.metrics.scheduled.inc(self.state.tick(self.now()))
            except sqlite3.Error:
                log.exception("store.failed", kind="timeouts")


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

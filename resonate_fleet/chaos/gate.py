"""A gate between a member and what it talks to. Shut, it is a partition without privileges.

A shut gate behaves as a network that drops packets: connections stay open on both sides and
nothing passes. What was written meanwhile arrives after the gate is opened, as TCP would have it,
so a late result really reaches the server.
"""

import asyncio
from contextlib import suppress
from typing import Self

from resonate_fleet.contract.loops import cancel, keep

#: Bytes held of one connection and direction while the gate is shut (a kernel's buffer, about).
CHUNK = 65_536


class Gate:
    """Forwards connections on a local port to `host:port`. Use as an async context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def close_door(self) -> None:
        """Let nothing pass from now on."""
        self._open.clear()

    def open_door(self) -> None:
        """Let everything pass again, what was held back first."""
        self._open.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        await cancel(self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keep(self._tasks, self._connection(reader, writer))

    async def _connection(
        self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter
    ) -> None:
        ends, ways = [near_out], list[asyncio.Task[None]]()
        try:
            await self._open.wait()
            with suppress(OSError):  # nobody listens there: the member sees a reset
                far_in, far_out = await asyncio.open_connection(*self._target)
                ends.append(far_out)
                both = (self._pump(near_in, far_out), self._pump(far_in, near_out))
                ways = [asyncio.create_task(way) for way in both]
                # Either side's end is the end of both.
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in ends:
                end.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await self._open.wait()
                sink.write(data)
                await sink.drain()
            await self._open.wait()
            sink.close()
            await sink.wait_closed()

"""The gate between a member and the rest: open it is a wire, shut it is a network that drops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from resonate_fleet.chaos.gate import Gate
from tests.support.processes import free_port

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Far:
    """A server that hears: its last connection's streams, and how many it has had."""

    def __init__(self) -> None:
        self.connections: list[Streams] = []
        self.came = asyncio.Event()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append((reader, writer))
        self.came.set()


@asynccontextmanager
async def through() -> AsyncIterator[tuple[Gate, Streams, Streams]]:
    """An open connection through a gate: the gate, the near end, the far end."""
    far = Far()
    server = await asyncio.start_server(far.accept, "127.0.0.1", 0)
    async with Gate("127.0.0.1", server.sockets[0].getsockname()[1]) as gate:
        near = await asyncio.open_connection("127.0.0.1", gate.port)
        await asyncio.wait_for(far.came.wait(), 5)
        try:
            yield gate, near, far.connections[0]
        finally:
            for _, writer in (near, far.connections[0]):
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
    server.close()


async def silent(reader: asyncio.StreamReader) -> bool:
    """Nothing comes within a moment (an absence can only be waited for by the clock)."""
    try:
        await asyncio.wait_for(reader.read(1), 0.2)
    except TimeoutError:
        return True
    return False


async def test_an_open_gate_passes_both_ways() -> None:
    async with through() as (_, near, far):
        near[1].write(b"ask")
        assert await asyncio.wait_for(far[0].readexactly(3), 5) == b"ask"
        far[1].write(b"tell")
        assert await asyncio.wait_for(near[0].readexactly(4), 5) == b"tell"


async def test_a_shut_gate_holds_back_and_an_opened_one_delivers() -> None:
    async with through() as (gate, near, far):
        gate.close_door()
        near[1].write(b"late")
        far[1].write(b"lost?")
        assert await silent(far[0])
        assert await silent(near[0])
        gate.open_door()
        assert await asyncio.wait_for(far[0].readexactly(4), 5) == b"late"
        assert await asyncio.wait_for(near[0].readexactly(5), 5) == b"lost?"


async def test_an_end_passes_an_open_gate_at_once() -> None:
    async with through() as (_, near, far):
        near[1].close()
        assert await asyncio.wait_for(far[0].read(), 5) == b""


async def test_an_end_does_not_pass_a_shut_gate() -> None:
    async with through() as (gate, near, far):
        gate.close_door()
        near[1].close()
        assert await silent(far[0])
        gate.open_door()
        assert await asyncio.wait_for(far[0].read(), 5) == b""


async def test_with_nobody_behind_the_gate_a_connection_ends() -> None:
    async with Gate("127.0.0.1", free_port()) as gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()

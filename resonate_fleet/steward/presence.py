"""Where members keep a connection open for as long as they live.

When a member's process ends, whatever ended it, its kernel closes the connection. When its whole
node ends, nobody does: TCP keepalive finds that out.
"""

import asyncio
import socket
from typing import Protocol, Self

import msgspec
import structlog

from resonate_fleet.contract.presence import (
    LINE_BYTES,
    Bye,
    FromMember,
    FromSteward,
    Hello,
    Hint,
    Welcome,
)

#: Longest wait for the first line.
HELLO_SECONDS = 10.0

_decoder = msgspec.json.Decoder(FromMember)


class Seat:
    """One member's open connection."""

    def __init__(self, hello: Hello, writer: asyncio.StreamWriter) -> None:
        self.hello = hello
        self._writer = writer

    async def say(self, message: FromSteward) -> None:
        self._writer.write(msgspec.json.encode(message) + b"\n")
        await self._writer.drain()

    def hand(self, hint: Hint) -> None:
        """Send a hint without waiting: there is one at most on the way to each member."""
        self._writer.write(msgspec.json.encode(hint) + b"\n")

    def close(self) -> None:
        self._writer.close()


class Keeper(Protocol):
    """Who is told. The order of calls for one seat is came, heard, then left or ended."""

    async def came(self, seat: Seat) -> list[FromSteward]:
        """A member said hello; return what it is to be told besides the welcome."""
        ...

    def heard(self, seat: Seat, message: FromMember) -> tuple[Seat, Hint] | None:
        """It said something else; return who is to be handed a hint for it, if anybody is."""
        ...

    def left(self, seat: Seat) -> None:
        """It said goodbye."""
        ...

    def ended(self, seat: Seat) -> None:
        """Its connection ended without goodbye."""
        ...


class Presence:
    """Listens while used as an async context manager. `port` is the one in use then."""

    def __init__(self, address: tuple[str, int], keepalive: float, keeper: Keeper) -> None:
        self._address = address
        self._keepalive = keepalive
        self._keeper = keeper
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def port(self) -> int:
        assert self._server is not None  # noqa: S101 - asked before entering: a defect
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        host, port = self._address
        self._server = await asyncio.start_server(
            self._accept, host, port, limit=LINE_BYTES, backlog=1024
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        # Connections that end from here on end because of us: nobody has died.
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            keep_alive(writer.get_extra_info("socket"), self._keepalive)
            hello = await asyncio.wait_for(_read(reader), HELLO_SECONDS)
            if isinstance(hello, Hello):
                await self._watch(Seat(hello, writer), reader)
        except (OSError, TimeoutError) as error:
            structlog.get_logger().debug("presence.dropped", why=repr(error))
        finally:
            writer.close()

    async def _watch(self, seat: Seat, reader: asyncio.StreamReader) -> None:
        said_bye = False
        try:
            news = await self._keeper.came(seat)
            for answer in (Welcome(hints=True), *news):
                await seat.say(answer)
            while (message := await _read(reader)) is not None:
                if isinstance(message, Bye):
                    said_bye = True
                    break
                found = self._keeper.heard(seat, message)
                if found is not None:
                    other, hint = found
                    other.hand(hint)
        except OSError:
            pass  # reset, or found dead by keepalive: ended all the same
        finally:
            if said_bye:
                self._keeper.left(seat)
            elif not self._stopping:
                self._keeper.ended(seat)


async def _read(reader: asyncio.StreamReader) -> FromMember | None:
    """Return the next message, or None at the end of the connection or after nonsense."""
    try:
        line = await reader.readline()
        return _decoder.decode(line) if line else None
    except (ValueError, msgspec.MsgspecError):  # a line too long, or none of the protocol
        return None


def keep_alive(connection: socket.socket, seconds: float) -> None:
    """Have the kernel end `connection` after about `seconds` without a sign of the other side.

    Half of them pass in silence, then five probes go out. Where a platform lacks one of the
    knobs its own default stays.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    probes = 5
    knobs = {
        "TCP_KEEPIDLE": max(1, round(seconds / 2)),
        "TCP_KEEPINTVL": max(1, round(seconds / 2 / probes)),
        "TCP_KEEPCNT": probes,
        "TCP_USER_TIMEOUT": round(seconds * 1000),
    }
    for knob, value in knobs.items():
        if hasattr(socket, knob):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, knob), value)

"""The port at which members keep a connection open for as long as they live.

When a member's process ends, for whatever reason, its kernel closes the connection. When its whole
node ends, nothing closes it; TCP keepalive finds that out.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, cast

import msgspec
import structlog

from resonate_fleet.contract import presence as messages
from resonate_fleet.contract.loops import cancel, keep
from resonate_fleet.contract.presence import FromMember, FromSteward, Hello
from resonate_fleet.contract.sockets import keep_alive, most_strangers

if TYPE_CHECKING:
    from resonate_fleet.steward.membership import Membership

#: Longest wait for a hello, in seconds.
HELLO_SECONDS = 5.0
#: A member that leaves more bytes unread is cut off.
MOST_UNREAD = 4 << 20
#: Stands for the hello of a member that has said none.
STRANGER: Final = Hello("", "", 0)
log = structlog.get_logger()


@dataclass(frozen=True)
class Identity:
    """Who the steward is to its members. `since`: its start, Unix seconds.

    `waits` says whether the members of a group wait while there is no steward.
    """

    name: str
    since: float
    secret: str | None = None
    waits: Callable[[str], bool] = lambda _: False


class Connection(asyncio.Protocol):
    """One open connection. The listener hears of it by `came`, `heard`, then `left` or `ended`."""

    def __init__(self, server: "PresenceServer") -> None:
        self.hello = STRANGER
        #: It has offered this steward its slots.
        self.offers = False
        self._server = server
        self._nonce = secrets.token_hex(16)
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._unsent: list[bytes] = []
        self._welcomed = self._said_bye = False
        self.said_at = 0.0
        self._late = asyncio.get_running_loop().call_later(HELLO_SECONDS, self.close)

    @property
    def member(self) -> str:
        return self.hello.member

    def say(self, message: FromSteward) -> None:
        """Send a message, together with others of this iteration of the loop."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(messages.line(message))

    def close(self) -> None:
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        lines, self._unsent = self._unsent, []
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(b"".join(lines))
        self.said_at = asyncio.get_running_loop().time()
        if self._transport.get_write_buffer_size() > MOST_UNREAD:
            self._transport.abort()

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It is a stream; uvloop's are no instances of asyncio's class.
        self._transport = cast("asyncio.Transport", transport)
        with suppress(OSError):
            keep_alive(self._transport.get_extra_info("socket"), self._server.keepalive)
        self.say(messages.Challenge(self._nonce))
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > (messages.LINE_BYTES if self._welcomed else messages.HELLO_BYTES):
            self._deny("the line is too long")
            return
        try:
            for one in lines:
                self._heard(messages.decode_member(one))
        # Nonsense ends the connection, even when it is nested without end.
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            self._deny(str(error))

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - it is gone either way
        self._transport = None
        self._late.cancel()
        self._server.closed(self)
        if self._welcomed and not self._server.stopping:
            self._welcomed = False
            listener = self._server.listener
            (listener.left if self._said_bye else listener.ended)(self)

    def _heard(self, message: FromMember) -> None:
        if self.hello is STRANGER:
            if not isinstance(message, Hello):
                raise ValueError("no hello")
            self.hello = message
            self._server.greet(self)
        elif isinstance(message, messages.Bye):
            self._said_bye = True
            self.close()
        elif self._welcomed:
            self._server.listener.heard(self, message)
        else:
            raise ValueError("not welcomed yet")

    def _deny(self, why: str) -> None:
        log.info("presence.denied", member=self.member or None, why=why)
        self.say(messages.Denied(why))
        self.close()

    async def greet(self, me: Identity) -> None:
        """Answer its hello, in a task of its own."""
        if not messages.proven(me.secret, "member", self._nonce, self.hello, self.hello.proof):
            self._deny("the presence secret is not proven")
            return
        try:
            news = await self._server.listener.came(self)
        except ValueError as error:
            self._deny(str(error))
            return
        self._welcomed = True
        self._late.cancel()
        self._server.strangers.pop(self, None)
        self._server.members.add(self)
        proof = messages.prove(me.secret, "steward", self._nonce, self.hello)
        self.say(messages.Welcome(me.name, me.since, me.waits(self.hello.group), proof))
        for one in news:
            self.say(one)
        if self._transport is None:  # it has gone meanwhile
            self.connection_lost(None)


class PresenceServer:
    """Listens while used as an async context manager. `port` is the one in use then."""

    def __init__(
        self, address: tuple[str, int], keepalive: float, listener: "Membership", me: Identity
    ) -> None:
        self.keepalive = keepalive
        self.listener = listener
        self.most_strangers = most_strangers()
        self._address = address
        self._me = me
        self._server: asyncio.Server | None = None
        #: Connections that are not welcomed yet, in the order in which they came.
        self.strangers: dict[Connection, None] = {}
        self.members: set[Connection] = set()
        self._greetings: set[asyncio.Task[None]] = set()
        #: Connections that end from here on are closed by this steward: no member has died.
        self.stopping = False

    @property
    def port(self) -> int:
        assert self._server is not None  # noqa: S101 - asked before entering: a defect
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        host, port = self._address
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in [*self.members, *self.strangers]:
            connection.close()
        await cancel(self._greetings)

    async def beat(self) -> None:
        """Say something to each member once a second, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(messages.BEAT_SECONDS)
            for connection in self.members:
                if loop.time() - connection.said_at > messages.BEAT_SECONDS / 2:
                    connection.say(messages.Beat())

    # Called by connections.

    def opened(self, connection: Connection) -> None:
        """Take in a new connection; too many close the oldest."""
        self.strangers[connection] = None
        if len(self.strangers) > self.most_strangers:
            oldest = next(iter(self.strangers))
            del self.strangers[oldest]  # its end comes later, and so do others that open now
            oldest.close()

    def greet(self, connection: Connection) -> None:
        keep(self._greetings, connection.greet(self._me))

    def closed(self, connection: Connection) -> None:
        self.strangers.pop(connection, None)
        self.members.discard(connection)

"""The port at which members keep a connection open for as long as they live.

When a member's process ends, for whatever reason, its kernel closes the connection. When its whole
node ends, nothing closes it; TCP keepalive finds that out.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, Self, cast

import msgspec
import structlog

from resonate_fleet.contract import presence as messages
from resonate_fleet.contract.presence import FromMember, FromSteward, Hello
from resonate_fleet.contract.sockets import keep_alive, most_strangers

#: Longest wait for a hello, in seconds.
HELLO_SECONDS = 5.0
#: A member that leaves more bytes unread is cut off.
MOST_UNREAD = 4 << 20
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


class PresenceListener(Protocol):
    """Hears of connections. The order for each is `came`, `heard`, then `left` or `ended`."""

    async def came(self, connection: "Connection") -> list[FromSteward]:
        """Take a member that said hello; return the messages that follow its welcome.

        Raises:
            ValueError: it is not welcome, with the reason.
        """
        ...

    def heard(self, connection: "Connection", message: FromMember) -> None:
        """Take any other message."""

    def left(self, connection: "Connection") -> None:
        """Note that the member said goodbye."""

    def ended(self, connection: "Connection") -> None:
        """Note that the connection ended without goodbye."""


class Connection(asyncio.Protocol):
    """One open connection. `hello` is None until a member has said it."""

    def __init__(self, port: "PresenceServer") -> None:
        self.hello: Hello | None = None
        #: It has offered this steward its slots.
        self.offers = False
        self._port = port
        self._nonce = secrets.token_hex(16)
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._unsent: list[bytes] = []
        self._welcomed = self._said_bye = False
        self.said_at = 0.0

    @property
    def member(self) -> str:
        return self.hello.member if self.hello else ""

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
            keep_alive(self._transport.get_extra_info("socket"), self._port.keepalive)
        self.say(messages.Challenge(self._nonce))
        self._port.opened(self)

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
        self._port.closed(self)
        if not self._welcomed or self._port.stopping:
            return
        self._welcomed = False
        if self._said_bye:
            self._port.listener.left(self)
        else:
            self._port.listener.ended(self)

    def _heard(self, message: FromMember) -> None:
        if self.hello is None:
            if not isinstance(message, Hello):
                raise ValueError("no hello")
            self.hello = message
            self._port.greet(self)
        elif isinstance(message, messages.Bye):
            self._said_bye = True
            self.close()
        elif self._welcomed:
            self._port.listener.heard(self, message)
        else:
            raise ValueError("not welcomed yet")

    def _deny(self, why: str) -> None:
        log.info("presence.denied", member=self.member or None, why=why)
        self.say(messages.Denied(why))
        self.close()

    # The greeting, in a task of its own.

    async def greet(self, me: Identity) -> None:
        hello = self.hello
        assert hello is not None  # noqa: S101 - it is what is being answered
        if not messages.proven(me.secret, "member", self._nonce, hello, hello.proof):
            self._deny("the presence secret is not proven")
            return
        try:
            news = await self._port.listener.came(self)
        except ValueError as error:
            self._deny(str(error))
            return
        self._welcomed = True
        self._port.known(self)
        proof = messages.prove(me.secret, "steward", self._nonce, hello)
        self.say(messages.Welcome(me.name, me.since, me.waits(hello.group), proof))
        for one in news:
            self.say(one)
        if self._transport is None:  # it has gone meanwhile
            self.connection_lost(None)


class PresenceServer:
    """Listens while used as an async context manager. `port` is the one in use then."""

    def __init__(
        self, address: tuple[str, int], keepalive: float, listener: PresenceListener, me: Identity
    ) -> None:
        self.keepalive = keepalive
        self.listener = listener
        self.most_strangers = most_strangers()
        self._address = address
        self._me = me
        self._server: asyncio.Server | None = None
        self._strangers: dict[Connection, asyncio.TimerHandle] = {}
        self._members: set[Connection] = set()
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
        for connection in [*self._members, *self._strangers]:
            connection.close()
        for task in self._greetings:
            task.cancel()
        await asyncio.gather(*self._greetings, return_exceptions=True)

    async def beat(self) -> None:
        """Say something to each member once a second, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(messages.BEAT_SECONDS)
            for connection in self._members:
                if loop.time() - connection.said_at > messages.BEAT_SECONDS / 2:
                    connection.say(messages.Beat())

    # Called by connections.

    def opened(self, connection: Connection) -> None:
        """Give a new connection some seconds for its hello; too many close the oldest."""
        late = asyncio.get_running_loop().call_later(HELLO_SECONDS, connection.close)
        self._strangers[connection] = late
        if len(self._strangers) > self.most_strangers:
            oldest = next(iter(self._strangers))
            self._leave_strangers(oldest)  # its end comes later, and so do others that open now
            oldest.close()

    def greet(self, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(connection.greet(self._me))
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)

    def known(self, connection: Connection) -> None:
        self._leave_strangers(connection)
        self._members.add(connection)

    def closed(self, connection: Connection) -> None:
        self._leave_strangers(connection)
        self._members.discard(connection)

    def _leave_strangers(self, connection: Connection) -> None:
        late = self._strangers.pop(connection, None)
        if late is not None:
            late.cancel()

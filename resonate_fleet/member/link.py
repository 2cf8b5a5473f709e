"""The connections to the stewards: one each, made again when it is lost."""

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
import structlog

from resonate_fleet.contract import presence as messages
from resonate_fleet.contract.backoff import Backoff
from resonate_fleet.contract.presence import FromMember, FromSteward, Hello
from resonate_fleet.contract.sockets import keep_alive
from resonate_fleet.member.presence import Presence

#: A steward that says nothing for so long, in seconds, is gone.
GONE_SECONDS = 20.0
#: Seconds until a lost connection is made again (the steward's grace is not much longer), and
#: between two tries to connect: first and longest.
AT_ONCE, FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.1, 1.0
#: Longest wait for a connection; pause between two look-ups of names with a steward, and without.
CONNECT_SECONDS, RESOLVE_SECONDS, RESOLVE_AGAIN_SECONDS = 5.0, 5.0, 1.0
#: Seconds between two checks whether the steward that has the slots still speaks.
CHECK_SECONDS = 0.25
#: Seconds without any steward after which this is logged.
SAY_SECONDS = 3.0
log = structlog.get_logger()

type Address = tuple[str, int]


@dataclass(eq=False)
class Link(asyncio.Protocol):
    """A connection; it counts once it has a `rank`. `heard_at` by the loop's clock."""

    presence: Presence
    address: Address
    hello: Hello
    secret: str | None
    #: Start and name of the steward that has welcomed this member: the order by which all members
    #: choose the same one. Empty before.
    rank: tuple[float | str, ...] = ()
    #: By its group's policy this member waits while there is no steward.
    waits: bool = False
    heard_at: float = 0.0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    #: Why one side refused the other.
    refused: str = ""
    _transport: asyncio.Transport | None = None
    _nonce: str = ""
    _buffer: bytes = b""

    def say(self, message: FromMember) -> None:
        if self._transport is not None:
            self._transport.write(messages.line(message))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def descriptor(self) -> int | None:
        """Return the socket's descriptor while there is one."""
        sock = self._transport.get_extra_info("socket") if self._transport else None
        return None if sock is None else int(sock.fileno())

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It is a stream; uvloop's are no instances of asyncio's class.
        self._transport = cast("asyncio.Transport", transport)
        keep_alive(self._transport.get_extra_info("socket"), GONE_SECONDS)

    def data_received(self, data: bytes) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        try:
            for one in lines:
                self._heard(messages.decode_steward(one))
        except (ValueError, msgspec.MsgspecError) as error:
            self.refused = str(error)
            self.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - it is gone either way
        self._transport = None
        self.ended.set()
        self.presence.lost(self)

    def _heard(self, message: FromSteward) -> None:
        match message:
            case messages.Challenge(nonce=nonce):
                self._nonce = nonce
                self.hello = msgspec.structs.replace(self.hello, nonce=secrets.token_hex(16))
                proof = messages.prove(self.secret, "member", nonce, self.hello)
                self.say(msgspec.structs.replace(self.hello, proof=proof))
            case messages.Welcome(proof=proof) if self.hello.nonce:
                if not messages.proven(self.secret, "steward", self._nonce, self.hello, proof):
                    raise ValueError("the steward has not proven the presence secret")
                self.rank, self.waits = (message.since, message.steward), message.waits
                self.presence.welcomed(self)
            case messages.Denied(why=why):
                raise ValueError(why)
            case _ if self.rank:
                self.presence.heard(self, message)


@dataclass(eq=False)
class Connector:
    """Keeps a connection to each steward while `run` runs, on the event loop.

    `addresses` are hosts or names with a port; a name may stand for several stewards. `failed` is
    called for each try that ends without a welcome.
    """

    addresses: Sequence[Address]
    hello: Hello
    secret: str | None
    presence: Presence
    failed: Callable[[], None]
    #: Why there is no connection, and since when there has been none.
    _why: dict[str, str] = field(default_factory=dict, init=False)
    _since: float | None = field(default=None, init=False)
    _said: bool = field(default=False, init=False)

    async def run(self) -> None:
        """Connect, and connect again, until cancelled or the member has left."""
        if not self.addresses:
            self.presence.fall_back()
            return
        self.presence.choose()
        kept: dict[Address, asyncio.Task[None]] = {}
        try:
            while True:
                found, links = await self._resolve(), self.presence.links
                for address in found - kept.keys():
                    kept[address] = asyncio.create_task(self._keep(address))
                seconds = RESOLVE_SECONDS if links else RESOLVE_AGAIN_SECONDS
                for _ in range(round(seconds / CHECK_SECONDS)):
                    await asyncio.sleep(CHECK_SECONDS)
                    self.presence.choose()  # a silent steward may be stopped or stuck
                used = found | {one.address for one in links} if found else kept.keys()
                for address in kept.keys() - used:
                    kept.pop(address).cancel()
        finally:
            for task in kept.values():
                task.cancel()

    async def _resolve(self) -> set[Address]:
        """Return the IP addresses behind `addresses` now; none if the look-up fails."""
        loop, found = asyncio.get_running_loop(), set[Address]()
        for host, port in self.addresses:
            try:
                infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                found |= {(str(info[4][0]), int(info[4][1])) for info in infos}
            except (OSError, UnicodeError) as error:  # UnicodeError: no possible name
                self._note(host, getattr(error, "strerror", None) or str(error))
        return found

    async def _keep(self, address: Address) -> None:
        pauses, link = Backoff(FIRST_PAUSE, LONGEST_PAUSE), None
        while not self.presence.said_bye:
            # Connect unless another address has led to the same steward.
            if link is None or all(one.rank != link.rank for one in self.presence.links):
                link = await self._connect(address)
                if link.rank:
                    self._since = None
                    self._why.clear()
                    pauses.reset()
                    await asyncio.sleep(AT_ONCE)
                    continue
            await asyncio.sleep(pauses.next())

    async def _connect(self, address: Address) -> Link:
        """Connect, and wait for the end of that connection."""
        link = Link(self.presence, address, self.hello, self.secret)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().create_connection(lambda: link, *address)
            await link.ended.wait()
            if link.refused and (link.rank or self._why.get(str(address)) != link.refused):
                log.warning("presence.refused", why=link.refused)
            if not link.rank:
                no_greeting = "it closes without a greeting: is this its presence port?"
                self._note(address, link.refused or no_greeting)
        except OSError as error:  # TimeoutError is one
            self._note(address, str(error) or repr(error))
        finally:
            link.close()
        return link

    def _note(self, address: object, why: str) -> None:
        """Note why a steward cannot be reached; log it once if there is no other for a while."""
        self.failed()
        now, links = asyncio.get_running_loop().time(), self.presence.links
        if self._since is None:
            self._since, self._said = now, False
        self._why[str(address)] = why
        if not links and not self._said and now - self._since >= SAY_SECONDS:
            self._said = True
            then = "it works by itself, unless its group's policy says to wait"
            log.warning("steward.unreachable", why=self._why, then=then)

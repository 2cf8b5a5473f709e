"""One connection to a steward."""

import asyncio
import secrets
from typing import TYPE_CHECKING, cast

import msgspec
import structlog

from resonate_fleet.contract import presence as messages
from resonate_fleet.contract.presence import FromMember, FromSteward, Hello
from resonate_fleet.contract.sockets import keep_alive

if TYPE_CHECKING:
    from resonate_fleet.member.presence import Presence

#: A steward that says nothing for so long, in seconds, is gone.
GONE_SECONDS = 20.0
log = structlog.get_logger()


class Link(asyncio.Protocol):
    """A connection; it counts once it has `welcome`. `heard_at` by the loop's clock."""

    def __init__(
        self, presence: "Presence", address: tuple[str, int], hello: Hello, secret: str | None
    ) -> None:
        self.address = address
        self.welcome: messages.Welcome | None = None
        self.heard_at = 0.0
        self.ended = asyncio.Event()
        #: Why one side refused the other.
        self.refused = ""
        self._presence = presence
        self._hello = hello
        self._secret = secret
        self._transport: asyncio.Transport | None = None
        self._nonce = ""
        self._buffer = b""

    @property
    def rank(self) -> tuple[float, str]:
        """Return the order by which all members choose the same steward, the longest-standing."""
        return (self.welcome.since, self.welcome.steward) if self.welcome else (0.0, "")

    def say(self, message: FromMember) -> None:
        if self._transport is not None:
            self._transport.write(messages.line(message))

    @property
    def why_not(self) -> str:
        """Return why the connection ended without a welcome."""
        return self.refused or "it closes without a greeting: is this its presence port?"

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
            log.warning("presence.refused", why=self.refused)
            self.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - it is gone either way
        self._transport = None
        self.ended.set()
        self._presence.lost(self)

    def _heard(self, message: FromSteward) -> None:
        match message:
            case messages.Challenge(nonce=nonce):
                self._nonce = nonce
                self._hello = msgspec.structs.replace(self._hello, nonce=secrets.token_hex(16))
                proof = messages.prove(self._secret, "member", nonce, self._hello)
                self.say(msgspec.structs.replace(self._hello, proof=proof))
            case messages.Welcome(proof=proof) if self._hello.nonce:
                if not messages.proven(self._secret, "steward", self._nonce, self._hello, proof):
                    raise ValueError("the steward has not proven the presence secret")
                self.welcome = message
                self._presence.welcomed(self)
            case messages.Denied(why=why):
                raise ValueError(why)
            case _ if self.welcome is not None:
                self._presence.heard(self, message)

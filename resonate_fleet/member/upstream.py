"""The server as a member reaches it: connections, and requests that are tried until answered."""

import asyncio
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import structlog
from resonate.error import ConnectorError

from resonate_fleet.contract.backoff import Backoff
from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.clock import ServerClock
from resonate_fleet.contract.envelope import TOO_LARGE, too_large
from resonate_fleet.contract.journal import MemberReady
from resonate_fleet.contract.settings import fresh_token
from resonate_fleet.contract.stream import Stream
from resonate_fleet.contract.wire import PASSING, Foreign, Reply, Unreachable, Wire, parse, part
from resonate_fleet.member.health import CHECK, RECENT, Health
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.requests import PARTS, Answer, Request, made
from resonate_fleet.member.settings import Settings

#: Seconds between two tries of a request: first and longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: Seconds for which a request is repeated while the server answers with a status of 500 or more.
RETRY_SECONDS = 30.0
#: The same while the answer refuses the sender or is not the server's: for most requests, and for a
#: write that carries a body's result. The lease bounds the latter anyway.
REFUSED_RETRY_SECONDS, WRITE_RETRY_SECONDS = 3.0, 120.0
#: Statuses that refuse the sender, not the request (a token that has expired, say), or that pass.
NO_ANSWER = (401, 403, *PASSING)
#: Bytes from which a request is large, and seconds after one until garbage is collected.
LARGE, LATER = 1 << 20, 1.0
log = structlog.get_logger()


@dataclass(eq=False)
class Wires:
    """Makes connections to the server."""

    settings: Settings
    member: str

    def new(self) -> Wire:
        return Wire(self.settings.url, self.settings.token)

    def blocking(self) -> BlockingWire:
        """Return one for a thread. Its time-out is short enough for heartbeats."""
        seconds = max(0.2, min(self.settings.lease / 3, 5.0))
        return BlockingWire(self.settings.url, self.settings.token, seconds)

    def stream(
        self, group: str, lost: Callable[[str], None], back: Callable[[float | None], None]
    ) -> Stream:
        """Return a stream of what is sent to the group, or to this member of it."""
        url = f"{self.settings.url}/poll/{group}/{self.member}"
        return Stream(url, self.settings.token, lost, back)


@dataclass(eq=False)
class Channel:
    """Tries requests until the server answers or `close` is called.

    It replaces the SDK's own connection. That one has aiohttp's total timeout of five minutes, does
    not retry after a `TimeoutError`, and pauses for up to a minute. Here a pause lasts a second at
    most, and the token is read anew for each try.
    """

    wire: Wire
    health: Health = field(default_factory=Health)
    token: str | None = None
    clock: ServerClock = field(default_factory=ServerClock)
    _closed: bool = field(default=False, init=False)
    _collecting: asyncio.TimerHandle | None = field(default=None, init=False)

    def close(self) -> None:
        self._closed = True

    async def exchange(
        self,
        request: Request,
        body: str,
        wanted: Callable[[], bool] = lambda: True,
        refused_seconds: float = REFUSED_RETRY_SECONDS,
    ) -> Answer:
        """Send an encoded request while it is `wanted`.

        An answer that is not the protocol's comes back as a reply with its status.

        Raises:
            ConnectorError: closed, or no longer wanted, before there was an answer.
        """
        if len(body) >= LARGE and self._collecting is None:
            loop = asyncio.get_running_loop()
            self._collecting = loop.call_later(LATER, self._collect)
        if (refused := too_large(body)) is not None:
            return _other(request, TOO_LARGE, refused.body.decode(), repeated=False)
        began, repeated = time.monotonic(), False
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while not self._closed and wanted():
            answer = await self._try(request, body, repeated=repeated)
            status = answer.reply.status
            seconds = max(RETRY_SECONDS, refused_seconds) if status >= 500 else refused_seconds
            if answer.final or (status and time.monotonic() - began >= seconds):
                return answer
            log.debug("request.retried", kind=request.kind, status=status, why=answer.reply.data)
            repeated = True
            await asyncio.sleep(pauses.next())
        raise ConnectorError(RuntimeError("no longer wanted: the lease is gone or the member ends"))

    def _collect(self) -> None:
        """Collect garbage: errors and frames that hold large values form cycles."""
        self._collecting = None
        gc.collect()

    async def _try(self, request: Request, body: str, *, repeated: bool) -> Answer:
        """Return an answer; its status is 0 where there was none."""
        began = time.monotonic()
        found: Any = None
        try:
            raw = await self.wire.post(self._signed(body))
            self.clock.heard(raw.date, time.monotonic() - began)
            reply = parse(raw, request.kind)
            if reply.ok and request.kind in PARTS:
                found = part(self.wire.url, reply, *PARTS[request.kind])
        except Unreachable as error:
            self.health.silent(error.cause, time.monotonic() - began)
            return _other(request, 0, error.cause, repeated=repeated)
        except Foreign as foreign:
            if foreign.passing:
                self.health.silent(str(foreign))
                return _other(request, 0, str(foreign), repeated=repeated)
            if foreign.status != TOO_LARGE:
                self.health.refused(foreign.status, str(foreign))
            return _other(request, foreign.status, foreign.text, repeated=repeated)
        # A token for some ids only may not read others: the server knows this member.
        of_others = reply.status == 403 and reply.kind == "promise.get"
        refused = (reply.status in NO_ANSWER or reply.status >= 500) and not of_others
        if refused:
            self.health.refused(reply.status, f"{reply.kind}: {reply.status} {reply.data}")
        else:
            self.health.answered()
        return Answer(reply, raw.body.decode(), repeated, not refused, found)

    def _signed(self, body: str) -> str:
        """Put the token into the head of a request of the SDK, which has none."""
        if not (token := fresh_token(self.token)):
            return body
        auth = msgspec.json.encode(token).decode()
        return body.replace('"head":{', f'"head":{{"auth":{auth},', 1)

    async def ask(self, kind: str, id: str, **more: Any) -> Answer | None:
        """Send a request of the member's own; None when the channel is closed first."""
        try:
            return await self.exchange(*made(kind, {"id": id, **more}))
        except ConnectorError:
            return None

    async def find(self, kind: str, id: str) -> Any:
        """Return what `task.get` or `promise.get` shows, None where it shows nothing."""
        answer = await self.ask(kind, id)
        return answer.part if answer is not None else None


def _other(request: Request, status: int, text: str, *, repeated: bool) -> Answer:
    """Return an answer that is not the server's in the shape of one."""
    reply = Reply(kind=request.kind, status=status, data=text)
    return Answer(reply, request.reply(status, text), repeated, status == TOO_LARGE)


class Upstream:
    """The event loop's connections, and whether they work.

    `stream` brings what is sent to this member alone.
    """

    def __init__(self, wires: Wires, ledger: Ledger, token: str | None) -> None:
        self._wires = wires
        self._ledger = ledger
        self._said = False
        self.wire = wires.new()
        self.stream = wires.stream(ledger.journal.who, ledger.server_lost, ledger.server_back)
        refused = partial(ledger.metrics.count, "requests_refused")
        self.health = Health(refused, connected=self.is_connected)
        #: Of the heartbeats alone: a server whose disk is full answers whoever reads.
        self.heartbeat_health = Health(refused)
        self.channel = Channel(self.wire, self.health, token, ledger.clock)

    def is_connected(self) -> bool:
        return self.stream.connected

    def group_stream(self, group: str) -> Stream:
        """Return a stream of the group's hints. Outages are reported by `stream`."""
        return self._wires.stream(group, lambda _: None, lambda _: self.ready())

    def ready(self) -> None:
        """Say once, in the journal, that this member can work."""
        if not self._said:
            self._said = True
            self._ledger.journal.write(MemberReady())

    async def run(self) -> None:
        """Send a cheap request again and again while the stream is not open."""
        while True:
            if not self.stream.connected:
                await self.channel.ask("promise.get", "is-anybody-there")
            if self.health.takes(RECENT) and not self.health.failing:
                self.ready()
            await asyncio.sleep(CHECK)

"""This member's connections to the server."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from resonate.error import ConnectorError

from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.journal import MemberReady
from resonate_fleet.contract.stream import Stream
from resonate_fleet.contract.wire import Wire
from resonate_fleet.member.channel import Channel
from resonate_fleet.member.health import Health
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.probes import CHECK, RECENT
from resonate_fleet.member.requests import nobody
from resonate_fleet.member.settings import Settings


class Wires:
    """Makes connections to the server."""

    def __init__(self, settings: Settings, member: str) -> None:
        self._url, self._token, self._lease = settings.url, settings.token, settings.lease
        self._member = member

    def new(self) -> Wire:
        return Wire(self._url, self._token)

    def blocking(self) -> BlockingWire:
        """Return one for a thread. Its time-out is short enough for heartbeats."""
        return BlockingWire(self._url, self._token, max(0.2, min(self._lease / 3, 5.0)))

    def stream(
        self, group: str, lost: Callable[[str], None], back: Callable[[float | None], None]
    ) -> Stream:
        """Return a stream of what is sent to the group, or to this member of it."""
        return Stream(f"{self._url}/poll/{group}/{self._member}", self._token, lost, back)


class Upstream:
    """The event loop's connections, and whether they work.

    `stream` brings what is sent to this member alone.
    """

    def __init__(self, wires: Wires, ledger: Ledger, token: str | None) -> None:
        self._wires = wires
        self._ledger = ledger
        self._said = False
        self.wire = wires.new()
        self.stream = wires.stream(ledger.journal.who, ledger.server_lost, self._back)
        refused = partial(ledger.metrics.count, "requests_refused")
        self.health = Health(refused, connected=self.is_connected)
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
                with suppress(ConnectorError):
                    await self.channel.exchange(*nobody())
            if self.health.takes(RECENT) and not self.health.failing:
                self.ready()
            await asyncio.sleep(CHECK)

    def _back(self, seconds: float | None) -> None:
        if seconds is not None:
            self._ledger.server_back(seconds)

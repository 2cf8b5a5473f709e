"""Says once, in the journal, that this member can work."""

import asyncio
from contextlib import suppress

from resonate.error import ConnectorError

from resonate_fleet.contract.journal import MemberReady
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.stream import Stream
from resonate_fleet.member.channel import Channel
from resonate_fleet.member.health import Health
from resonate_fleet.member.probes import CHECK, RECENT
from resonate_fleet.member.requests import nobody


class Readiness:
    """`run` is a task of the loop, on which everything is to be called."""

    def __init__(self, channel: Channel, health: Health, stream: Stream, journal: Journal) -> None:
        self._channel = channel
        self._health = health
        self._stream = stream
        self._journal = journal
        self._said = False

    def reached(self) -> None:
        """Work can be done from now on."""
        if not self._said:
            self._said = True
            self._journal.write(MemberReady())

    async def run(self) -> None:
        """Ask the server something cheap, once and again while its stream is not open."""
        while True:
            if not self._stream.connected:
                with suppress(ConnectorError):
                    await self._channel.exchange(*nobody())
            if self._health.takes(RECENT) and not self._health.failing:
                self.reached()
            await asyncio.sleep(CHECK)

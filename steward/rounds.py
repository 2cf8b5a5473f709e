"""The steward's regular round: look at the server, publish, and see to what the look shows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from contract.wire import Refused, Unreachable
from steward.handover import Handover
from steward.keeper import Lives
from steward.looks import REST, Looks
from steward.parking import Parking
from steward.tally import View
from steward.tools import Tools

#: Something more that is to be done with each look (pod deletion costs, say).
Extra = Callable[[View], Awaitable[None]]


class Rounds:
    """`interval` is the least pause between two looks, in seconds."""

    def __init__(
        self,
        tools: Tools,
        lives: Lives,
        handover: Handover,
        parking: Parking,
        interval: float,
        extras: Sequence[Extra] = (),
    ) -> None:
        self._tools = tools
        self._lives = lives
        self._handover = handover
        self._parking = parking
        self._interval = interval
        self._extras = extras
        self._looks = Looks(tools.wire, tools.now)

    async def forever(self) -> None:
        while True:
            began = time.monotonic()
            await self.once()
            spent = time.monotonic() - began
            await asyncio.sleep(max(self._interval, REST * spent))

    async def once(self) -> None:
        """Go one round; a server that fails is counted and asked again the next time."""
        began = time.monotonic()
        try:
            view = await self._looks.look()
        except (Unreachable, Refused, msgspec.ValidationError) as error:
            self._tools.failed("look", error)
            return
        self._tools.meters.look.set(time.monotonic() - began)
        self._tools.meters.truth.view = view
        await self._lives.sweep(view.leases)
        await self._handover.follow_up(view.states)
        self._parking.follow_up(view.states, view.at)
        await self._do_extras(view)

    async def _do_extras(self, view: View) -> None:
        for extra in self._extras:
            try:
                await extra(view)
            except Exception as error:  # noqa: BLE001 - whatever it is, leases are looked after
                self._tools.failed("extra", error)

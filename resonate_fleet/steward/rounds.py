"""The steward's regular round: look at the server, publish, and see to what the look shows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from resonate_fleet.contract.wire import Refused, Unreachable
from resonate_fleet.steward.handover import Handover
from resonate_fleet.steward.keeper import Lives
from resonate_fleet.steward.looks import REST, Looks
from resonate_fleet.steward.parking import Parking
from resonate_fleet.steward.tally import View
from resonate_fleet.steward.tools import Tools

#: Something more that is to be done with each look (pod deletion costs, say).
Extra = Callable[[View], Awaitable[None]]


def pause(interval: float, spent: float, before: float) -> float:
    """Return the seconds to wait after a look that took `spent`, the one before it `before`.

    Only where both were slow is it for the size of the backlog. One alone met a server that
    stumbled (a restart, say), after which there is much to see.
    """
    return max(interval, REST * min(spent, before))


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
        before = 0.0
        while True:
            spent = await self.once()
            await asyncio.sleep(pause(self._interval, spent, before))
            before = spent

    async def once(self) -> float:
        """Go one round; return how long its look took, in seconds, 0 for one that failed.

        A server that fails is counted and asked again the next time.
        """
        began = time.monotonic()
        try:
            view = await self._looks.look()
        except (Unreachable, Refused, msgspec.ValidationError) as error:
            self._tools.failed("look", error)
            return 0.0
        spent = time.monotonic() - began
        self._tools.meters.look.set(spent)
        self._tools.meters.truth.view = view
        await self._lives.sweep(view.leases)
        await self._handover.follow_up(view.states)
        self._parking.follow_up(view.states, view.at)
        await self._do_extras(view)
        return spent

    async def _do_extras(self, view: View) -> None:
        for extra in self._extras:
            try:
                await extra(view)
            except Exception as error:  # noqa: BLE001 - whatever it is, leases are looked after
                self._tools.failed("extra", error)

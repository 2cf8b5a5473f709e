"""When the server is surveyed.

A steward surveys at its start, when it begins to hear a group's hints, and after that so seldom
that surveys take a fraction of a percent of the server's time, however much has finished there.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from resonate_fleet.contract.wire import Refused, Task, Unreachable
from resonate_fleet.steward.survey import Survey, Surveyor
from resonate_fleet.steward.tools import Tools, set_within

#: Least pause after a survey, as a multiple of the time that one takes beyond `CHEAP` seconds: a
#: quarter of a percent of the server's time. One that is wanted at once may follow sooner.
REST, CHEAP, WANTED_REST = 400.0, 0.02, 3.0
#: A survey takes what the fastest of so many took: a busy moment is no reason to rest for long.
LAST = 4
#: While hints are heard and nobody goes: pause between two looks for a lost hint, and between two
#: surveys, as multiples of the interval.
CALM, LONG = 8.0, 150.0
#: A steward that has just started waits so long for members to come, in seconds: one survey then
#: serves both. A second one would hold up the first jobs on a server with a long history.
FIRST_WAIT = 2.0


def pause(interval: float, times: Iterable[float]) -> float:
    """Return the seconds to wait after a survey, the last ones having taken `times`."""
    return max(interval, REST * (min(times) - CHEAP))


class Watch:
    """`interval` is the least pause between two surveys that nothing calls for, in seconds.

    `found` gets each page of claimable tasks as it comes, `follow` the whole of a survey. `calm`
    says whether nothing has happened since a time (Unix seconds) that calls for the next one.
    """

    def __init__(
        self,
        tools: Tools,
        surveyor: Surveyor,
        interval: float,
        found: Callable[[Iterable[Task]], None],
        follow: Callable[[Survey], Awaitable[None]],
        calm: Callable[[float], bool] = lambda _: False,
    ) -> None:
        self._tools = tools
        self._surveyor = surveyor
        self._interval = interval
        self._found = found
        self._follow = follow
        self._calm = calm
        self._wanted = asyncio.Event()
        self._look_wanted = False
        #: When the last survey that succeeded began, Unix seconds.
        self.at: float | None = None

    def want(self) -> None:
        """Survey soon: something may have been missed."""
        self._wanted.set()

    def want_look(self) -> None:
        """Look at what is claimable soon: a hint may have gone to another steward."""
        self._look_wanted = True

    async def forever(self) -> None:
        times: deque[float] = deque(maxlen=LAST)
        await set_within(self._wanted, FIRST_WAIT)
        while True:
            self._wanted.clear()
            times.append(await self.once())
            rest = WANTED_REST * times[-1]
            await asyncio.sleep(rest)
            await set_within(self._wanted, pause(self._interval, times) - rest)
            await self._stay_calm()

    async def _stay_calm(self) -> None:
        """While hints are heard only a lost one can be missed: look at what is claimable alone."""
        began = soonest = time.monotonic()
        due = began + CALM * self._interval
        while self.at is not None and self._calm(self.at) and not self._wanted.is_set():
            await set_within(self._wanted, self._interval)
            now = time.monotonic()
            if now - began > LONG * self._interval:
                return
            if now >= due or (self._look_wanted and now >= soonest):
                self._look_wanted = False
                spent = await self._look_at_claimable()
                due = time.monotonic() + pause(CALM * self._interval, [spent])
                soonest = time.monotonic() + pause(self._interval, [spent])

    async def _look_at_claimable(self) -> float:
        """Return how long it took, in seconds."""
        began = time.monotonic()
        try:
            await self._surveyor.claimable(self._found)
        except (Unreachable, Refused, msgspec.ValidationError) as error:
            self._tools.failed("survey", error)
        return time.monotonic() - began

    async def once(self) -> float:
        """Survey once; return how long it took, in seconds, 0 for one that failed.

        A server that fails is counted and asked again the next time.
        """
        began = time.monotonic()
        try:
            survey = await self._surveyor.survey(self._found)
        except (Unreachable, Refused, msgspec.ValidationError) as error:
            self._tools.failed("survey", error)
            return 0.0
        spent = time.monotonic() - began
        self._tools.meters.survey.set(spent)
        self.at = survey.at
        await self._follow(survey)
        return spent

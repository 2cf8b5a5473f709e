"""When the server is searched.

A steward surveys at its start, and when it begins to hear the hints of a group. While it hears
them, or another steward does, it only looks for what was lost: one search now and then.

Searches take 1/400 of the server's time on average (`SHARE`), however large the store is. The first
20 ms of each search are free (`CHEAP`). The rest is a debt that is paid back by waiting. A search
that was asked for may run while the debt is below 2 s (`ADVANCE`), any other search when there is
none.

While the debt is larger, one search for claimable tasks stands in for what was asked for, once 150
times its length have passed since the last search (`REST`). Otherwise only the server's retry of
their hints would tell of jobs that waited before a group was heard. This search adds no debt: its
pause pays for it. All searches together take 1 % of the server's time at most.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from resonate_fleet.contract.loops import set_within
from resonate_fleet.contract.wire import Refused, Unreachable
from resonate_fleet.steward.survey import STATES
from resonate_fleet.steward.tools import Tools

#: Share of the server's time; free seconds of each search; seconds of debt that are allowed.
SHARE, CHEAP, ADVANCE = 1 / 400, 0.02, 2.0
#: Pause before a search for claimable tasks beyond that, as a multiple of what it takes.
REST = 150.0
#: A search counts as the fastest of the last so many: one busy moment makes no long rest.
LAST = 4
#: Pause after a search that was wanted, as a multiple of what it took.
WANTED_REST = 3.0
#: Seconds that a steward waits at its start for a first member: one survey then serves both. On a
#: server with a long history a second one would delay the first jobs.
FIRST_WAIT = 2.0
#: Seconds until the search for what another steward has heard: by then that one has stopped.
SETTLE = 1.0
#: In calm times: the pause between two searches, in intervals, and the states in their order.
CALM = 4.0
CALM_STATES = (
    "pending", "acquired", "pending", "suspended", "pending", "acquired", "pending", "halted",
)  # fmt: skip


class Budget:
    """The seconds that searches have taken beyond their share; resting pays them back."""

    def __init__(self) -> None:
        self._owed, self._at = 0.0, time.monotonic()
        self._times: defaultdict[str, deque[float]] = defaultdict(partial(deque, maxlen=LAST))

    def owed(self) -> float:
        now = time.monotonic()
        self._owed, self._at = max(0.0, self._owed - SHARE * (now - self._at)), now
        return self._owed

    def spend(self, state: str, seconds: float, *, owed: bool) -> None:
        self._times[state].append(seconds)
        if owed:
            self._owed = self.owed() + max(0.0, self.takes(state) - CHEAP)

    def takes(self, state: str) -> float:
        """Return the seconds of the fastest of the last searches, 0 before the first."""
        return min(self._times[state], default=0.0)


class SurveyLoop:
    """`interval`: the least pause between two searches that nobody wants, in seconds."""

    def __init__(self, tools: Tools, interval: float) -> None:
        self._tools = tools
        self._interval = interval
        self._budget = Budget()
        self._stir = asyncio.Event()
        self._survey_wanted = self._pending_wanted = False
        #: When the last search ended, by the monotonic clock, and how many were no whole survey.
        self._searched, self._calm_searches = 0.0, 0
        #: When the last successful survey began, Unix seconds.
        self.at: float | None = None

    def want_survey(self) -> None:
        """Survey soon: something may have been missed."""
        self._survey_wanted = self._pending_wanted = True
        self._stir.set()

    def want_pending(self) -> None:
        """Search for claimable tasks in `SETTLE` seconds: another steward may have heard a hint."""
        asyncio.get_running_loop().call_later(SETTLE, self._want_pending)

    def _want_pending(self) -> None:
        self._pending_wanted = True
        self._stir.set()

    async def run(
        self, search: Callable[[str], Awaitable[None]], calm: Callable[[float], bool]
    ) -> None:
        """Call `search` for each state that is due.

        `calm` says whether hints and members tell of all that happened since a time (Unix seconds).
        """
        await set_within(FIRST_WAIT, self._stir)
        self._survey_wanted = True
        while True:
            self._stir.clear()
            wanted = self._survey_wanted or self._pending_wanted
            states = self._due(calm)
            if not states:
                await set_within(self._interval, self._stir)
                continue
            began = time.monotonic()
            await self._search(search, states)
            self._searched = time.monotonic()
            await asyncio.sleep(WANTED_REST * (self._searched - began) if wanted else 0)

    def _due(self, calm: Callable[[float], bool]) -> Sequence[str]:
        owed, since = self._budget.owed(), time.monotonic() - self._searched
        if owed < ADVANCE and self._survey_wanted:
            return STATES
        if self._pending_wanted and (
            owed < ADVANCE or since > REST * self._budget.takes("pending")
        ):
            return STATES[:1]
        if owed > 0 or since < self._interval:
            return ()
        if self.at is None or not calm(self.at):
            return STATES
        if since < CALM * self._interval:
            return ()
        return (CALM_STATES[self._calm_searches % len(CALM_STATES)],)

    async def _search(
        self, search: Callable[[str], Awaitable[None]], states: Sequence[str]
    ) -> None:
        """Search these states. A failure is counted; they are due again later."""
        at, began = self._tools.now(), time.monotonic()
        whole, owed = len(states) == len(STATES), self._budget.owed() < ADVANCE
        self._pending_wanted = False
        self._survey_wanted = self._survey_wanted and not whole
        self._calm_searches += not whole
        try:
            for state in states:
                before = time.monotonic()
                try:
                    await search(state)
                finally:
                    self._budget.spend(state, time.monotonic() - before, owed=owed)
        except (Unreachable, Refused) as error:
            self._tools.failed("survey", error)
            return
        if whole:
            self.at = at
            self._tools.meters.survey_duration_seconds.set(time.monotonic() - began)

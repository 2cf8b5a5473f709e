"""When the server is searched.

A steward surveys at its start, and when it begins to hear the hints of a group. While it hears
them, or another steward does, it only looks for what was lost: one search now and then. All
searches together take a quarter of a percent of the server's time, however much has finished there.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from resonate_fleet.contract.wire import Refused, Unreachable
from resonate_fleet.steward.survey import STATES
from resonate_fleet.steward.tools import Tools, set_within

#: Share of the server's time that searches take, not counting `CHEAP` seconds of each, and the
#: seconds that may be taken in advance by those that are wanted.
SHARE, CHEAP, ADVANCE = 1 / 400, 0.02, 2.0
#: A search counts as what the fastest of so many took: a busy moment is no reason to rest for long.
LAST = 4
#: Pause after what was wanted, as a multiple of what it took: what is wanted meanwhile comes after.
WANTED_REST = 3.0
#: A steward that has just started waits so long for members to come, in seconds: one survey then
#: serves both. A second one would hold up the first jobs on a server with a long history.
FIRST_WAIT = 2.0
#: A search for what another steward heard waits so long, in seconds, until that one has stopped.
SETTLE = 1.0
#: In calm times: the pause between two searches, in intervals, and what is searched in turn.
CALM = 4.0
CALM_STATES = (
    "pending", "acquired", "pending", "suspended", "pending", "acquired", "pending", "halted",
)  # fmt: skip


class Budget:
    """What the searches owe to the server, in seconds; it is paid back by resting."""

    def __init__(self) -> None:
        self._owed, self._at = 0.0, time.monotonic()
        self._times: defaultdict[str, deque[float]] = defaultdict(partial(deque, maxlen=LAST))

    def owed(self) -> float:
        now = time.monotonic()
        self._owed, self._at = max(0.0, self._owed - SHARE * (now - self._at)), now
        return self._owed

    def spend(self, state: str, seconds: float) -> None:
        times = self._times[state]
        times.append(seconds)
        self._owed = self.owed() + max(0.0, min(times) - CHEAP)


class SurveyLoop:
    """`interval` is the least pause between two searches that nobody wants, in seconds."""

    def __init__(self, tools: Tools, interval: float) -> None:
        self._tools = tools
        self._interval = interval
        self._budget = Budget()
        self._stir = asyncio.Event()
        self._survey_wanted = self._pending_wanted = False
        #: When the last search ended, by the monotonic clock, and how many were made in calm times.
        self._searched, self._calm_searches = 0.0, 0
        #: When the last survey that succeeded began, Unix seconds.
        self.at: float | None = None

    def want_survey(self) -> None:
        """Survey soon: something may have been missed."""
        self._survey_wanted = True
        self._stir.set()

    def want_pending(self) -> None:
        """Search soon for what is claimable: another steward may have heard a hint."""
        asyncio.get_running_loop().call_later(SETTLE, self._want_pending)

    def _want_pending(self) -> None:
        self._pending_wanted = True
        self._stir.set()

    async def run(
        self, search: Callable[[str], Awaitable[None]], calm: Callable[[float], bool]
    ) -> None:
        """Search what is due, one state at a time.

        `calm` says whether all that may have happened since a time (Unix seconds) is told.
        """
        await set_within(self._stir, FIRST_WAIT)
        self._survey_wanted = True
        while True:
            self._stir.clear()
            wanted = self._survey_wanted or self._pending_wanted
            states = self._due(calm)
            if not states:
                await set_within(self._stir, self._interval)
                continue
            began = time.monotonic()
            await self._search(search, states)
            self._searched = time.monotonic()
            await asyncio.sleep(WANTED_REST * (self._searched - began) if wanted else 0)

    def _due(self, calm: Callable[[float], bool]) -> Sequence[str]:
        owed, since = self._budget.owed(), time.monotonic() - self._searched
        if owed < ADVANCE and self._survey_wanted:
            return STATES
        if owed < ADVANCE and self._pending_wanted:
            return STATES[:1]
        if owed > 0 or since < self._interval:
            return ()
        if self.at is None or not calm(self.at):
            return STATES
        return (CALM_STATES[self._calm_searches % len(CALM_STATES)],) if since >= CALM * self._interval else ()

    async def _search(
        self, search: Callable[[str], Awaitable[None]], states: Sequence[str]
    ) -> None:
        """Search these states. A server that fails is counted and asked again the next time."""
        at, began = self._tools.now(), time.monotonic()
        whole = len(states) == len(STATES)
        self._pending_wanted = False
        self._survey_wanted = self._survey_wanted and not whole
        self._calm_searches += not whole
        try:
            for state in states:
                before = time.monotonic()
                try:
                    await search(state)
                finally:
                    self._budget.spend(state, time.monotonic() - before)
        except (Unreachable, Refused, msgspec.ValidationError) as error:
            self._tools.failed("survey", error)
            return
        if whole:
            self.at = at
            self._tools.meters.survey.set(time.monotonic() - began)

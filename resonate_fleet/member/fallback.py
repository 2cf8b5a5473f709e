"""The fallback: how a member without a steward finds work.

It listens to the group's hints, and searches the server when it is idle.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import structlog

from resonate_fleet.contract.backoff import Backoff
from resonate_fleet.contract.ids import is_child
from resonate_fleet.contract.loops import keep
from resonate_fleet.contract.stream import Hint, Stream, read_hint
from resonate_fleet.contract.wire import Promise, Refused, Strange, Unreachable, Wire
from resonate_fleet.contract.words import TAG_TARGET, TAG_TIMER, anycast
from resonate_fleet.member.intake import Intake

#: Pause of an idle member between two searches: first and longest, in seconds, and the least one as
#: a multiple of what the last search took.
FIRST_PAUSE, LONGEST_PAUSE, REST = 0.25, 5.0, 20.0
#: The same while searches are forbidden: a token may be replaced by a wider one.
FORBIDDEN_PAUSE = 60.0
#: Seconds to wait for the stream before the first search.
STREAM_SECONDS = 1.0
#: Claimable tasks that are remembered.
MOST_KNOWN = 1000
log = structlog.get_logger()


class Backlog:
    """The claimable tasks that are known here, without those that are avoided for a while."""

    def __init__(self, counts: Callable[..., None], now: Callable[[], float]) -> None:
        self._counts = counts
        self._now = now
        self._known: dict[str, tuple[float, int]] = {}
        #: Tasks that were given up here, with the time until which they are avoided.
        self._avoided: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._known)

    def clear(self) -> None:
        self._known.clear()

    def avoid(self, task: str, seconds: float) -> None:
        self._known.pop(task, None)
        self._avoided[task] = self._now() + seconds
        if len(self._avoided) > MOST_KNOWN:
            del self._avoided[next(iter(self._avoided))]

    def take(self) -> tuple[str, int]:
        """Return the oldest, with its version, and forget it."""
        task = min(self._known, key=lambda one: self._known[one])
        return task, self._known.pop(task)[1]

    def learn(self, task: str, version: int, since: float | None = None) -> None:
        """Note a claimable task; it waits from now on unless `since` is known."""
        since = self._now() if since is None else since
        if self._avoided.get(task, 0.0) > self._now():
            self._counts("hints_dropped", "avoided")
        elif len(self._known) >= MOST_KNOWN:
            self._counts("hints_dropped", "full")
        else:
            since = min(since, self._known.get(task, (since, 0))[0])
            self._known[task] = (since, version)


@dataclass(eq=False)
class Fallback:
    """While it is on, fills free slots with the oldest tasks that it knows.

    `counts` counts an event: a metric's name and its labels. `runs` says whether this member can
    run what a promise calls.
    """

    wire: Wire
    stream: Stream
    group: str
    intake: Intake
    counts: Callable[..., None]
    runs: Callable[[Promise], bool] = lambda _: True
    now: Callable[[], float] = time.time
    may_search: bool = field(default=True, init=False)
    #: This member was given a task that it cannot run: from then on it reads promises first.
    _reads_first: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._backlog = Backlog(self.counts, self.now)
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()

    @property
    def known(self) -> int:
        return len(self._backlog)

    def switch(self, *, on: bool) -> None:
        """Begin to search and listen, or end it and forget what is known."""
        if on and not self._tasks:
            keep(self._tasks, self.stream.run(self._message))
            keep(self._tasks, self._search_when_idle())
        elif not on:
            self._backlog.clear()
            for task in self._tasks:
                task.cancel()

    def avoid(self, task: str, seconds: float, *, reads_first: bool) -> None:
        """Leave a task alone for a while. `reads_first`: from now on read promises first."""
        self._reads_first = self._reads_first or reads_first
        self._backlog.avoid(task, seconds)

    def fill(self) -> None:
        """Have the SDK claim the oldest that is known for each slot that is free."""
        while self._backlog and self.intake.free > 0:
            self.intake.take(*self._backlog.take())
        if not self._backlog and self.intake.free > 0:
            self._idle.set()
        else:
            self._idle.clear()

    # Hints.

    def _message(self, text: str) -> None:
        with suppress(msgspec.MsgspecError):
            hint = read_hint(text)
            if hint is None:
                return
            self.counts("hints_received")
            if is_child(hint.id) or self._reads_first:
                keep(self._tasks, self._read_first(hint))
            else:
                self._backlog.learn(hint.id, hint.version)
                self.fill()

    async def _read_first(self, hint: Hint) -> None:
        """Read the promise first: it may be a durable sleep, or call what this member lacks."""
        with suppress(Unreachable, Refused):
            promise = await self.wire.promise(hint.id)
            if promise is not None and self._is_ours(promise):
                self._backlog.learn(hint.id, hint.version)
                self.fill()

    # Searches.

    async def _search_when_idle(self) -> None:
        """Search when a slot is free and no task is known; less often while nothing is found."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stream.opened.wait(), STREAM_SECONDS)
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            self.fill()
            await self._idle.wait()
            began, pause = time.monotonic(), 0.0
            if await self._search_safely():
                pauses.reset()
            else:
                pause = pauses.next() if self.may_search else FORBIDDEN_PAUSE
            self.fill()
            rest = max(pause, REST * (time.monotonic() - began))
            await asyncio.sleep(rest * random.uniform(0.5, 1))

    async def _search_safely(self) -> bool:
        """Search; say whether there is work. What goes wrong is counted and logged."""
        found, result = False, "failed"
        try:
            found = await self._search()
            self.may_search, result = True, "found" if found else "empty"
        except Unreachable as error:
            if isinstance(error, Strange):
                log.warning("search.unreadable", why=error.cause)
        except Refused as refused:
            if refused.reply.status == 403:
                if self.may_search:
                    log.warning("search.forbidden", why=str(refused), then="it lives on hints")
                self.may_search, result = False, "forbidden"
        self.counts("fallback_searches", result)
        return found

    async def _search(self) -> bool:
        """Learn the waiting tasks of this group; say whether there are any."""
        async for page in self.wire.promise_pages("pending", {TAG_TARGET: anycast(self.group)}):
            ours = {one.id: one.created_at / 1000 for one in page if self._is_ours(one)}
            for task, version in (await self._claimable(sorted(ours))).items():
                self._backlog.learn(task, version, ours[task])
            if self._backlog:
                return True
        return False

    async def _claimable(self, ids: list[str]) -> dict[str, int]:
        """Return the claimable tasks of `ids`, which are in order, with their versions."""
        found: dict[str, int] = {}
        if ids:
            async for page in self.wire.task_pages("pending", ids):
                found |= {one.id: one.version for one in page}
        return {one: found[one] for one in ids if one in found}

    def _is_ours(self, promise: Promise) -> bool:
        """Say whether a promise is work for this member, and no durable sleep."""
        return promise.tags.get(TAG_TIMER) != "true" and self.runs(promise)

"""A model of the server in virtual time: queues, claims, searches, hints.

Every request waits for the one before it (SQLite behind one lock, v0.9.8) and takes what it was
measured to take. Hints leave once per message loop, a batch of the least ids at most, each with
the version that its task had when the hint was queued; a claim does not take back a queued hint.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

#: Seconds that the server works on a request, and a message is on its way. Measured on v0.9.8 with
#: SQLite in memory, one client at a time, less the client's own share.
CREATE, ACQUIRE, REFUSE, FULFIL, HINT, WAY = 0.00033, 0.00033, 0.00025, 0.00040, 0.00008, 0.00015
#: A search, and each task that it returns.
SEARCH, SEARCHED_TASK = 0.00030, 0.0000035
#: A finished task that a search walks over before it comes to waiting ones; the same where a
#: cursor stands behind it: only its id is looked at.
PASSED_OVER, SKIPPED = 0.0000001, 0.00000004
#: The message loop: seconds between two turns, and hints a turn.
MESSAGES_INTERVAL: Final = 0.005
BATCH: Final = 100

type Listener = Callable[[str, int], None]
type PageListener = Callable[[list[tuple[str, int]], bool], None]


class VirtualClock:
    """Calls what was planned, in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._planned: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0

    def at(self, when: float, call: Callable[..., None], *args: Any) -> None:
        self._number += 1
        heapq.heappush(self._planned, (max(when, self.now), self._number, call, args))

    def later(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        self.at(self.now + seconds, call, *args)

    def run(self, until: Callable[[], bool]) -> None:
        """Go on until `until` or until nothing is planned."""
        while self._planned and not until():
            self.now, _, call, args = heapq.heappop(self._planned)
            call(*args)


@dataclass
class Counts:
    """What the server has done; `busy` in seconds."""

    requests: int = 0
    granted: int = 0
    refused: int = 0
    busy: float = 0.0


@dataclass
class JobTable:
    """The jobs by number: when each was created, its version, and whether it waits."""

    created: list[float] = field(default_factory=list)
    version: list[int] = field(default_factory=list)
    waits: bytearray = field(default_factory=bytearray)

    def add(self, now: float, *, finished: bool = False) -> int:
        self.created.append(now)
        self.version.append(int(finished))
        self.waits.append(not finished)
        return len(self.created) - 1

    def page(self, after: int, limit: int) -> tuple[list[int], int]:
        """Return waiting jobs from number `after` on, and how far the walk went."""
        found: list[int] = []
        while len(found) < limit:
            after = self.waits.find(1, after)
            if after < 0:
                return found, len(self.waits)
            found.append(after)
            after += 1
        return found, after


def name_of(job: int) -> str:
    return f"{job:010d}"


class ModelServer:
    """Each request is answered by a call of `answer` in virtual time.

    `listener` hears the hints, by a job's name and version.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.counts = Counts()
        self.jobs = JobTable()
        self.listener: Listener = lambda _id, _version: None
        self._clock = clock
        #: Versions of queued hints by job; `_least` holds the same jobs by id.
        self._outgoing: dict[int, int] = {}
        self._least: list[int] = []
        self._free_at = 0.0

    def create(self) -> None:
        self._clock.later(WAY, self._create)

    def acquire(self, id: str, version: int, answer: Callable[[bool], None]) -> None:
        self._clock.later(WAY, self._acquire, int(id), version, answer)

    def fulfil(self, answer: Callable[[], None]) -> None:
        self._clock.later(WAY, self._reply, FULFIL, answer)

    def search(self, after: str | None, limit: int, answer: PageListener) -> None:
        self._clock.later(WAY, self._search, after, limit, answer)

    def _reply(self, work: float, answer: Callable[..., None], *args: Any) -> None:
        self.counts.requests += 1
        self._clock.at(self._occupy(work) + WAY, answer, *args)

    def _occupy(self, work: float) -> float:
        self.counts.busy += work
        self._free_at = max(self._free_at, self._clock.now) + work
        return self._free_at

    def _create(self) -> None:
        job = self.jobs.add(self._clock.now)
        self._reply(CREATE, lambda: None)
        self._outgoing[job] = self.jobs.version[job]
        heapq.heappush(self._least, job)
        if len(self._outgoing) == 1:
            self._clock.later(MESSAGES_INTERVAL, self._send_hints)

    def _acquire(self, job: int, version: int, answer: Callable[[bool], None]) -> None:
        granted = bool(self.jobs.waits[job]) and self.jobs.version[job] == version
        if granted:
            self.jobs.waits[job] = 0
            self.jobs.version[job] += 1
            self.counts.granted += 1
        else:
            self.counts.refused += 1
        self._reply(ACQUIRE if granted else REFUSE, answer, granted)

    def _search(self, after: str | None, limit: int, answer: PageListener) -> None:
        found, last = self.jobs.page(0 if after is None else int(after) + 1, limit + 1)
        work = SEARCH + last * (PASSED_OVER if after is None else SKIPPED)
        page = [(name_of(job), self.jobs.version[job]) for job in found[:limit]]
        self._reply(work + len(page) * SEARCHED_TASK, answer, page, len(found) > limit)

    def _send_hints(self) -> None:
        for _ in range(min(BATCH, len(self._least))):
            job = heapq.heappop(self._least)
            arrives = self._occupy(HINT) + WAY
            self._clock.at(arrives, self.listener, name_of(job), self._outgoing.pop(job))
        if self._outgoing:
            self._clock.later(MESSAGES_INTERVAL, self._send_hints)

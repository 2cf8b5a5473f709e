"""A model of the server in virtual time: queues, claims, hints to members at random.

Every request waits for the one before it (SQLite behind one lock, v0.9.8) and takes what it was
measured to take. Hints leave once per message loop, a batch of the least ids at most, each with the
version that its task had when the hint was queued; a claim does not take back a queued hint. The
hint of a task that still waits is queued again after the retry timeout.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any


class Clock:
    """Virtual time: calls what was planned, in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._planned: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0

    def at(self, when: float, call: Callable[..., None], *args: Any) -> None:
        self._number += 1
        heapq.heappush(self._planned, (max(when, self.now), self._number, call, args))

    def run(self, until: Callable[[], bool]) -> None:
        """Go on until `until` or until nothing is planned."""
        while self._planned and not until():
            self.now, _, call, args = heapq.heappop(self._planned)
            call(*args)


@dataclass(frozen=True)
class Costs:
    """Seconds that the server works on a request, and a message is on its way.

    Measured on v0.9.8 with SQLite in memory, one client at a time, less the client's own share.
    """

    create: float = 0.00033
    acquire: float = 0.00033
    refuse: float = 0.00025
    fulfil: float = 0.00040
    search: float = 0.00030
    searched_task: float = 0.0000035
    #: A finished task that a search walks over before it comes to waiting ones.
    passed_over: float = 0.0000001
    #: The same where a cursor stands behind it: only its id is looked at.
    skipped: float = 0.00000004
    hint: float = 0.00008
    way: float = 0.00015


@dataclass(frozen=True)
class Tuning:
    """Settings of the server, in seconds but for counts."""

    messages_interval: float = 0.005
    batch: int = 100
    retry_timeout: float = 30.0
    connections: int = 1000


@dataclass
class Counts:
    requests: int = 0
    granted: int = 0
    refused: int = 0
    searches: int = 0
    hints: int = 0
    unheard: int = 0
    busy: float = 0.0


def name_of(job: int) -> str:
    return f"{job:010d}"


@dataclass
class Server:
    """The server. `listeners` by group; a listener takes a job's name and version."""

    clock: Clock
    random: Random
    costs: Costs = field(default_factory=Costs)
    tuning: Tuning = field(default_factory=Tuning)
    counts: Counts = field(default_factory=Counts)
    listeners: dict[str, list[Callable[[str, int], None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._groups: list[str] = []
        self._created: list[float] = []
        self._version: list[int] = []
        self._waits = bytearray()
        #: Versions of queued hints by job, oldest first; `_least` holds the same jobs by id.
        self._outgoing: dict[int, int] = {}
        self._least: list[int] = []
        self._retries: deque[tuple[float, int]] = deque()
        self._ticking = False
        self._retrying = False
        self._free_at = 0.0

    def connect(self, group: str, listener: Callable[[str, int], None]) -> bool:
        """Open a stream; False where there are too many."""
        if sum(map(len, self.listeners.values())) >= self.tuning.connections:
            return False
        self.listeners.setdefault(group, []).append(listener)
        return True

    def preload(self, group: str, *, finished: bool = False) -> None:
        """Add a job that is finished, or waits already; its hint has gone unheard."""
        self._groups.append(group)
        self._created.append(self.clock.now)
        self._version.append(1 if finished else 0)
        self._waits.append(0 if finished else 1)

    # Requests. Each is answered by a call of `answer` in virtual time.

    def create(self, group: str, answer: Callable[[str], None]) -> None:
        self.clock.at(self.clock.now + self.costs.way, self._create, group, answer)

    def acquire(self, id: str, version: int, answer: Callable[[bool], None]) -> None:
        self.clock.at(self.clock.now + self.costs.way, self._acquire, id, version, answer)

    def fulfil(self, answer: Callable[[], None]) -> None:
        self.clock.at(self.clock.now + self.costs.way, self._reply, self.costs.fulfil, answer)

    def search(
        self,
        after: str | None,
        limit: int,
        answer: Callable[[list[tuple[str, int]], bool], None],
    ) -> None:
        self.clock.at(self.clock.now + self.costs.way, self._search, after, limit, answer)

    def created(self, id: str) -> float:
        """Return when the job was created, as its promise says; asking costs nothing here."""
        return self._created[int(id)]

    def _reply(self, work: float, answer: Callable[..., None], *args: Any) -> None:
        self.counts.requests += 1
        self.clock.at(self._occupy(work) + self.costs.way, answer, *args)

    def _occupy(self, work: float) -> float:
        self.counts.busy += work
        self._free_at = max(self._free_at, self.clock.now) + work
        return self._free_at

    def _create(self, group: str, answer: Callable[[str], None]) -> None:
        job = len(self._groups)
        self._groups.append(group)
        self._created.append(self.clock.now)
        self._version.append(0)
        self._waits.append(1)
        self._reply(self.costs.create, answer, name_of(job))
        self._announce(job)

    def _acquire(self, id: str, version: int, answer: Callable[[bool], None]) -> None:
        job = int(id)
        granted = bool(self._waits[job]) and self._version[job] == version
        if granted:
            self._waits[job] = 0
            self._version[job] += 1
            self.counts.granted += 1
        else:
            self.counts.refused += 1
        self._reply(self.costs.acquire if granted else self.costs.refuse, answer, granted)

    def _search(
        self,
        after: str | None,
        limit: int,
        answer: Callable[[list[tuple[str, int]], bool], None],
    ) -> None:
        self.counts.searches += 1
        found, last = self._page(after, limit + 1)
        over = self.costs.passed_over if after is None else self.costs.skipped
        work = self.costs.search + last * over
        page = [(name_of(job), self._version[job]) for job in found[:limit]]
        self._reply(work + len(page) * self.costs.searched_task, answer, page, len(found) > limit)

    def _page(self, after: str | None, limit: int) -> tuple[list[int], int]:
        """Return waiting jobs behind `after`, and how far the walk went."""
        job = 0 if after is None else int(after) + 1
        found: list[int] = []
        while len(found) < limit:
            job = self._waits.find(1, job)
            if job < 0:
                return found, len(self._waits)
            found.append(job)
            job += 1
        return found, job

    # Messages.

    def _announce(self, job: int) -> None:
        if job not in self._outgoing:
            heapq.heappush(self._least, job)
        self._outgoing[job] = self._version[job]
        self._retries.append((self.clock.now + self.tuning.retry_timeout, job))
        if not self._ticking:
            self._ticking = True
            self.clock.at(self.clock.now + self.tuning.messages_interval, self._tick)
        if not self._retrying:
            self._retrying = True
            self.clock.at(self._retries[0][0], self._retry)

    def _retry(self) -> None:
        self._retrying = False
        while self._retries and self._retries[0][0] <= self.clock.now:
            _, job = self._retries.popleft()
            if self._waits[job]:
                self._announce(job)
        if self._retries and not self._retrying:
            self._retrying = True
            self.clock.at(self._retries[0][0], self._retry)

    def _tick(self) -> None:
        count = min(self.tuning.batch, len(self._least))
        for job in [heapq.heappop(self._least) for _ in range(count)]:
            self._send(job, self._outgoing.pop(job))
        self._ticking = bool(self._outgoing)
        if self._ticking:
            self.clock.at(self.clock.now + self.tuning.messages_interval, self._tick)

    def _send(self, job: int, version: int) -> None:
        members = self.listeners.get(self._groups[job])
        if not members:
            self.counts.unheard += 1
            return
        self.counts.hints += 1
        listener = self.random.choice(members)
        arrives = self._occupy(self.costs.hint) + self.costs.way
        self.clock.at(arrives, listener, name_of(job), version)

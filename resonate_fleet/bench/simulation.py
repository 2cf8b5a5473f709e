"""The steward's own matcher in virtual time, against a model of the server.

Shows what one machine cannot: thousands of members, a million jobs, several servers. Groups that
live on servers of their own do not meet, so one of N equal parts stands for N servers.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import msgspec

from resonate_fleet.bench.figures import BenchFigures
from resonate_fleet.bench.jobs import greedy_bound, heavy_tailed, unfairness, uniform
from resonate_fleet.bench.place import Asked, BenchPlace
from resonate_fleet.steward.matcher import Matcher
from resonate_fleet.steward.survey_loop import CALM, CHEAP, SHARE

# All times are seconds.

#: The server's work for each kind of request, and a message's time on its way. Measured on v0.9.8
#: with SQLite in memory, one client at a time, less the client's own share.
CREATE, ACQUIRE, REFUSE, FULFIL, HINT, WAY = 0.00033, 0.00033, 0.00025, 0.00040, 0.00008, 0.00015
#: A search, and each task that it returns.
SEARCH, SEARCHED_TASK = 0.00030, 0.0000035
#: A search's work for each finished task that it walks over; the same for a task before its cursor,
#: of which it reads the id alone.
PASSED_OVER, SKIPPED = 0.0000001, 0.00000004
#: The server's message loop: time between two turns, and hints a turn.
MESSAGES_INTERVAL, BATCH = 0.005, 100
#: A message's way between the processes of member and steward.
STEWARD_WAY = 0.0004
#: The work of a member's process for one job (its jobs share one interpreter), and that of the
#: steward's for one message.
MEMBER_WORK, STEWARD_WORK = 0.001, 0.00008
#: Tasks of one page of a search, and the steward's interval.
PAGE, INTERVAL = 1000, 2.0


@dataclass(frozen=True)
class Case:
    """What is simulated. Times in seconds.

    `rate` None: all jobs wait when the members come; else so many are submitted a second, from
    `begins` on: the members are idle until then. `finished` jobs are over from the beginning.
    """

    members: int
    slots: int
    costs: Sequence[float]
    rate: float | None = None
    begins: float = 0.0
    finished: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """What came of it. Times in seconds; `refused` is the refused share of all claims.

    `unfair` is the most that a job waited, in multiples of its turn (`jobs.unfairness`).
    """

    makespan: float
    ratio: float
    refused: float
    requests_a_job: float
    server_busy: float
    unfair: float
    start_p50: float


class Clock:
    """Virtual time. What happens in it are iterators, which yield how long they wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self._planned: list[tuple[float, int, Iterator[float]]] = []
        self._numbers = count()

    def start(self, activity: Iterator[float], at: float = 0.0) -> None:
        heapq.heappush(self._planned, (max(at, self.now), next(self._numbers), activity))

    def run(self, until: Callable[[], bool]) -> None:
        """Go on until `until()` or until nothing is planned."""
        while self._planned and not until():
            self.now, _, activity = heapq.heappop(self._planned)
            wait = next(activity, None)
            if wait is not None:
                self.start(activity, self.now + wait)


class Processor:
    """What does one thing after the other: the server behind its lock, a process of Python."""

    def __init__(self, clock: Clock) -> None:
        self.busy = 0.0
        self._clock = clock
        self._free_at = 0.0

    def work(self, seconds: float) -> float:
        """Return the seconds until so much work is done, after the work that waits already."""
        self.busy += seconds
        self._free_at = max(self._free_at, self._clock.now) + seconds
        return self._free_at - self._clock.now


class ModelServer(Processor):
    """Jobs by number, each claimed once. A request waits for the one before it (SQLite, one lock).

    Hints leave once per message loop, the least ids first; a claim does not take back a queued
    hint, whose version is then too old. `hear` gets them.
    """

    def __init__(self, clock: Clock, finished: int, hear: Callable[[int], Iterator[float]]) -> None:
        super().__init__(clock)
        self._hear = hear
        self.requests = self.granted = self.refused = 0
        self.created = [0.0] * finished
        self._waits = bytearray(finished)
        self._hints: list[int] = []

    def add(self) -> int:
        self.created.append(self._clock.now)
        self._waits.append(1)
        return len(self.created) - 1

    def answer(self, work: float) -> float:
        """Return how long a request takes that has arrived, up to its answer's arrival."""
        self.requests += 1
        return self.work(work) + WAY

    def create(self) -> Iterator[float]:
        yield WAY
        heapq.heappush(self._hints, self.add())
        if len(self._hints) == 1:
            self._clock.start(self._send_hints())
        yield self.answer(CREATE)

    def claim(self, job: int) -> bool:
        granted = bool(self._waits[job])
        self._waits[job] = 0
        self.granted += granted
        self.refused += not granted
        return granted

    def page(self, after: int) -> tuple[list[int], bool, float]:
        """Return waiting jobs past number `after`, whether there are more, and the work of it."""
        found: list[int] = []
        at = after
        while len(found) <= PAGE and (at := self._waits.find(1, at + 1)) >= 0:
            found.append(at)
        last = at + 1 if at >= 0 else len(self._waits)
        work = SEARCH + last * (PASSED_OVER if after < 0 else SKIPPED)
        work += min(PAGE, len(found)) * SEARCHED_TASK
        return found[:PAGE], len(found) > PAGE, work

    def _send_hints(self) -> Iterator[float]:
        while self._hints:
            yield MESSAGES_INTERVAL
            for _ in range(min(BATCH, len(self._hints))):
                arrives = self._clock.now + self.work(HINT) + WAY
                self._clock.start(self._hear(heapq.heappop(self._hints)), arrives)


class Simulation:
    """The real `Matcher`; hints, messages and surveys come from the model."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.clock = Clock()
        self.server = ModelServer(self.clock, case.finished, self._hint)
        self.steward = Processor(self.clock)
        self.members = {str(n): Processor(self.clock) for n in range(case.members)}
        self.matcher = Matcher()
        self.began = [-1.0] * len(case.costs)
        self.ended = 0

    def outcome(self) -> Outcome:
        case, clock = self.case, self.clock
        for number in range(len(case.costs)):
            if case.rate is None:
                self.server.add()
            else:
                clock.start(self.server.create(), case.begins + number / case.rate)
        clock.start(self._survey())
        for member in self.members:
            clock.start(self._heard(partial(self._join, member)))
        clock.run(lambda: self.ended == len(case.costs))
        return self._summary()

    # What the steward hears, and what it does then.

    def _heard(self, call: Callable[[], object]) -> Iterator[float]:
        """Have the steward do `call` when a message sent now has come and its process is free."""
        yield STEWARD_WAY
        yield self.steward.work(STEWARD_WORK)
        call()
        self._match()

    def _join(self, member: str) -> None:
        self.matcher.join(member, self.case.slots)
        self.matcher.credit(member, self.case.slots)

    def _refused(self, member: str, job: int) -> None:
        self.matcher.refused(self.clock.now, member, str(job), 0)
        self.matcher.credit(member, 1)

    def _hint(self, job: int) -> Iterator[float]:
        yield self.steward.work(STEWARD_WORK)
        self.matcher.offer(self.clock.now, str(job), 0, self.clock.now)
        self._match()

    def _survey(self) -> Iterator[float]:
        while True:
            began, after, more = self.clock.now, -1, True
            while more:
                yield WAY
                page, more, work = self.server.page(after)
                yield self.server.answer(work)
                for job in page:
                    self.matcher.offer(self.clock.now, str(job), 0, self.server.created[job])
                    after = job
                self._match()
            yield max(CALM * INTERVAL, (self.clock.now - began - CHEAP) / SHARE)

    def _match(self) -> None:
        for member, tasks in self.matcher.match(self.clock.now).items():
            sent = self.clock.now + self.steward.work(STEWARD_WORK) + STEWARD_WAY
            for task, _ in tasks:
                self.clock.start(self._work(member, int(task)), sent)

    # What a member does.

    def _work(self, member: str, job: int) -> Iterator[float]:
        """Claim what is assigned, run it, and say when its slot becomes free."""
        clock, process, matcher = self.clock, self.members[member], self.matcher
        yield WAY
        granted = self.server.claim(job)
        yield self.server.answer(ACQUIRE if granted else REFUSE)
        if not granted:
            clock.start(self._heard(lambda: self._refused(member, job)))
            return
        clock.start(self._heard(lambda: matcher.claimed(clock.now, member, str(job), 1)))
        yield process.work(MEMBER_WORK / 2)
        number = job - self.case.finished
        self.began[number] = clock.now
        yield self.case.costs[number]
        # The slot is free from here on, beside the rest of the job.
        clock.start(self._heard(lambda: matcher.credit(member, 1)))
        yield process.work(MEMBER_WORK / 2)
        yield WAY
        yield self.server.answer(FULFIL)
        self.ended += 1

    def _summary(self) -> Outcome:
        case, server, last = self.case, self.server, self.clock.now
        created = server.created[case.finished :]
        waits = sorted(b - c for b, c in zip(self.began, created, strict=True))
        least = greedy_bound(case.costs, case.members * case.slots)
        return Outcome(
            makespan=last - case.begins,
            ratio=(last - case.begins) / max(1e-9, least),
            refused=server.refused / max(1, server.refused + server.granted),
            requests_a_job=server.requests / len(case.costs),
            server_busy=server.busy / last,
            unfair=unfairness(zip(created, self.began, strict=True)),
            start_p50=waits[len(waits) // 2],
        )


def simulate(case: Case) -> Outcome:
    """Simulate until every job has ended."""
    return Simulation(case).outcome()


# The cases whose outcome has a goal.


async def simulated(_: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Makespans of single slots, and what many members cost one server."""
    seeds = range(asked.times(20))
    even = [simulate(Case(3, 1, uniform(seed, 24), 1000, 2)).ratio for seed in seeds]
    found.add("makespan / bound, 3 x 1", even, goals="median <= 1.006, worst <= 1.012")
    tailed = [simulate(Case(10, 1, heavy_tailed(seed, 200), 1000, 2)).ratio for seed in seeds]
    found.add("makespan / bound, Pareto 10 x 1", tailed, goals="median <= 1.009, worst <= 1.016")
    many = Case(100, 4, uniform(0, 9_000, 0.5, 1.5), 300)
    part = Case(100, 4, uniform(0, 50_000, 0.5, 1.5), 300)
    for what, case in {
        "100 x 4 at 300 jobs/s": many,
        "the same after a million finished": replace(many, finished=1_000_000),
        "2,000 members on 20 servers at 6,000 jobs/s": part,
    }.items():
        one = simulate(case)
        found.add(f"{what}: server busy", one.server_busy, "share", "worst <= 0.35")
        found.add(f"{what}: refused claims", one.refused, "share", "worst <= 0.005")
        found.add(f"{what}: requests a job", one.requests_a_job, goals="worst <= 3.05")
        found.add(f"{what}: start p50", one.start_p50, "s")
    no_ops = simulate(Case(10, 16, [0.0] * 5000)).makespan
    found.add("5,000 no-ops, 10 x 16", no_ops, "s", "worst <= 3.8")

"""The steward's own matcher in virtual time, against a model of the server.

Shows what one machine cannot: thousands of members, a million jobs, several servers. Groups that
live on servers of their own do not meet, so one of N equal parts stands for N servers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from resonate_fleet.bench.figures import Figure, Goals, at_most, figure
from resonate_fleet.bench.jobs import turns_missed
from resonate_fleet.bench.loads import greedy_bound, heavy_tailed, uniform
from resonate_fleet.bench.model import ModelServer, VirtualClock
from resonate_fleet.bench.place import Asked, BenchPlace
from resonate_fleet.steward.matcher import Matcher
from resonate_fleet.steward.survey_loop import CALM, CHEAP, SHARE

#: Seconds that a message takes from one process to the other.
WAY = 0.0004
#: What a member's process computes for one job (its jobs share one interpreter), and the steward's
#: for one message, in seconds.
MEMBER_WORK, STEWARD_WORK = 0.001, 0.00008
#: Tasks of one page of a search, and the steward's interval in seconds.
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

    `unfair` is the most that a job waited, in multiples of its turn (`jobs.turns_missed`).
    """

    makespan: float
    ratio: float
    refused: float
    requests_a_job: float
    server_busy: float
    unfair: float
    start_p50: float


def simulate(case: Case) -> Outcome:
    """Simulate until every job has ended."""
    return Simulation(case).outcome()


class SimulatedSteward:
    """The real `Matcher`; hints, messages and surveys come from the model."""

    def __init__(self, clock: VirtualClock, server: ModelServer) -> None:
        self._clock = clock
        self._server = server
        self._matcher = Matcher()
        self._members: dict[str, SimulatedMember] = {}
        self._computes_until = 0.0
        self._surveyed_at = 0.0
        server.listener = lambda *hint: self._compute(self._hint, *hint)

    def _compute(self, call: Callable[..., None], *args: object) -> None:
        """Do `call` when the process has come to it."""
        self._computes_until = max(self._computes_until, self._clock.now) + STEWARD_WORK
        self._clock.at(self._computes_until, call, *args)

    # What members say.

    def hear(self, call: Callable[..., None], *args: object) -> None:
        """Hear a message that a member sends now."""
        self._clock.later(WAY, self._compute, call, *args)

    def join(self, member: "SimulatedMember", slots: int) -> None:
        self._members[member.name] = member
        self._matcher.join(member.name, slots)
        self._matcher.credit(member.name, slots)
        self._match()

    def claimed(self, member: str, task: str, attempt: int) -> None:
        self._matcher.claimed(self._clock.now, member, task, attempt)

    def refused(self, member: str, task: str, version: int) -> None:
        self._matcher.refused(self._clock.now, member, task, version)
        self.freed(member)

    def freed(self, member: str) -> None:
        self._matcher.credit(member, 1)
        self._match()

    # What the server says.

    def _hint(self, id: str, version: int) -> None:
        self._matcher.offer(self._clock.now, id, version, self._clock.now)
        self._match()

    def survey(self) -> None:
        self._surveyed_at = self._clock.now
        self._server.search(None, PAGE, self._page)

    def _page(self, tasks: list[tuple[str, int]], more: bool) -> None:  # noqa: FBT001 - the model's word
        for task, version in tasks:
            created = self._server.jobs.created[int(task)]
            self._matcher.offer(self._clock.now, task, version, created)
        self._match()
        if more:
            self._server.search(tasks[-1][0], PAGE, self._page)
        else:
            spent = self._clock.now - self._surveyed_at
            rest = max(CALM * INTERVAL, (spent - CHEAP) / SHARE)
            self._clock.later(rest, self.survey)

    def _match(self) -> None:
        for member, tasks in self._matcher.match(self._clock.now).items():
            self._compute(self._assign, member, tasks)

    def _assign(self, member: str, tasks: list[tuple[str, int]]) -> None:
        for task in tasks:
            self._clock.later(WAY, self._members[member].assigned, *task)


class SimulatedMember:
    """A member: claims what it is assigned, and says when a slot becomes free."""

    def __init__(self, run: "Simulation", number: int) -> None:
        self.name = f"member-{number}"
        self._run = run
        self._clock = run.clock
        self._computes_until = 0.0

    def assigned(self, id: str, version: int) -> None:
        self._run.server.acquire(id, version, lambda granted: self._answered(id, version, granted))

    def _answered(self, id: str, version: int, granted: bool) -> None:  # noqa: FBT001 - the model's word
        steward = self._run.steward
        if granted:
            steward.hear(steward.claimed, self.name, id, version + 1)
            self._clock.at(self._compute(), self._begin, id)
        else:
            steward.hear(steward.refused, self.name, id, version)

    def _compute(self) -> float:
        """Return when the process has done its share of one half of a job."""
        self._computes_until = max(self._computes_until, self._clock.now) + MEMBER_WORK / 2
        return self._computes_until

    def _begin(self, id: str) -> None:
        self._clock.later(self._run.begin(id), self._end)

    def _end(self) -> None:
        # The slot is free from here on, beside the rest of the job.
        self._run.steward.hear(self._run.steward.freed, self.name)
        self._clock.at(self._compute(), self._run.server.fulfil, self._run.end)


class Simulation:
    def __init__(self, case: Case) -> None:
        self.case = case
        self.clock = VirtualClock()
        self.server = ModelServer(self.clock)
        self.steward = SimulatedSteward(self.clock, self.server)
        self.began = [-1.0] * len(case.costs)
        self.ended = 0

    def outcome(self) -> Outcome:
        case, jobs = self.case, self.server.jobs
        for _ in range(case.finished):
            jobs.add(0.0, finished=True)
        if case.rate is None:
            for _ in case.costs:
                jobs.add(0.0)
        else:
            for number in range(len(case.costs)):
                self.clock.at(case.begins + number / case.rate, self.server.create)
        self.steward.survey()
        for number in range(case.members):
            self.steward.hear(self.steward.join, SimulatedMember(self, number), case.slots)
        self.clock.run(lambda: self.ended == len(case.costs))
        return self._summary()

    def begin(self, id: str) -> float:
        """Note that a job begins; return how long it takes."""
        job = int(id) - self.case.finished
        self.began[job] = self.clock.now
        return self.case.costs[job]

    def end(self) -> None:
        self.ended += 1

    def _summary(self) -> Outcome:
        case, counts, last = self.case, self.server.counts, self.clock.now
        created = self.server.jobs.created[case.finished :]
        waits = sorted(b - c for b, c in zip(self.began, created, strict=True))
        least = greedy_bound(case.costs, case.members * case.slots)
        return Outcome(
            makespan=last - case.begins,
            ratio=(last - case.begins) / max(1e-9, least),
            refused=counts.refused / max(1, counts.refused + counts.granted),
            requests_a_job=counts.requests / len(case.costs),
            server_busy=counts.busy / last,
            unfair=turns_missed(list(zip(created, self.began, strict=True))),
            start_p50=waits[len(waits) // 2],
        )


# The cases whose outcome has a goal.


async def simulated(_: BenchPlace, asked: Asked) -> list[Figure]:
    """Makespans of single slots, and what many members cost one server."""
    seeds = asked.times(20)
    even = [Case(3, 1, uniform(seed, 24), 1000, 2) for seed in range(seeds)]
    tailed = [Case(10, 1, heavy_tailed(seed, 200), 1000, 2) for seed in range(seeds)]
    many = Case(100, 4, uniform(0, 9_000, 0.5, 1.5), 300)
    past = Case(100, 4, many.costs, 300, finished=1_000_000)
    part = Case(100, 4, uniform(0, 50_000, 0.5, 1.5), 300)
    no_ops = Case(10, 16, [0.0] * 5000)
    return [
        *_ratios("3 x 1", even, at_most(median=1.006, worst=1.012)),
        *_ratios("Pareto 10 x 1", tailed, at_most(median=1.009, worst=1.016)),
        *_server("100 x 4 at 300 jobs/s", many),
        *_server("the same after a million finished", past),
        *_server("2,000 members on 20 servers at 6,000 jobs/s", part),
        figure("simulated", "5,000 no-ops, 10 x 16", [simulate(no_ops).makespan], "s",
               at_most(worst=3.8)),
    ]  # fmt: skip


def _ratios(what: str, cases: list[Case], goals: Goals) -> list[Figure]:
    ratios = [simulate(case).ratio for case in cases]
    return [figure("simulated", f"makespan / bound, {what}", ratios, goals=goals)]


def _server(what: str, case: Case) -> list[Figure]:
    found = simulate(case)
    return [
        figure("simulated", f"{what}: server busy", [found.server_busy], "share",
               at_most(worst=0.35)),
        figure("simulated", f"{what}: refused claims", [found.refused], "share",
               at_most(worst=0.005)),
        figure("simulated", f"{what}: requests a job", [found.requests_a_job],
               goals=at_most(worst=3.05)),
        figure("simulated", f"{what}: start p50", [found.start_p50], "s"),
    ]  # fmt: skip

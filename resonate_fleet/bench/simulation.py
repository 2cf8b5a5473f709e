"""The steward's own matcher in virtual time, against a model of the server.

    python -m resonate_fleet.bench.simulation --members 100 --slots 1 --jobs 10000

Shows what one machine cannot: thousands of members, a million jobs, several servers. Groups that
live on servers of their own do not meet, so `--servers N` simulates one of N equal parts.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import msgspec

from resonate_fleet.bench.bound import makespan
from resonate_fleet.bench.model import Clock, Costs, Counts, Server, Tuning
from resonate_fleet.steward.matcher import Matcher
from resonate_fleet.steward.watch import pause

#: Seconds that a message takes from one process to the other.
WAY = 0.0004
GROUP = "group"
#: Tasks of one page of a search, and least pause between two surveys in seconds.
PAGE, INTERVAL = 1000, 2.0


@dataclass(frozen=True)
class Case:
    """What is simulated. Times in seconds.

    `rate` None: all jobs wait when the members come; else so many are submitted a second, from
    `begins` on: the members are idle until then.
    `work` is what a member's process computes for one job: its jobs share one interpreter;
    `steward_work` is what the steward's process computes for one message.
    `strangers` jobs of another group wait from the beginning, older than all of ours; `finished`
    ones are over. Members `join` evenly over so many seconds.
    """

    members: int = 3
    slots: int = 1
    costs: Sequence[float] = ()
    rate: float | None = None
    begins: float = 0.0
    seed: int = 0
    strangers: int = 0
    finished: int = 0
    join: float = 0.0
    work: float = 0.001
    steward_work: float = 0.00008
    tuning: Tuning = field(default_factory=Tuning)
    server: Costs = field(default_factory=Costs)


class Outcome(msgspec.Struct, frozen=True):
    """What came of it. Times in seconds; `refused` is the refused share of all claims.

    `unfair` is the most that a job waited, in multiples of what first come, first served would
    have made it wait (plus a fifth of a second, for as long as a page may serve).
    """

    jobs: int
    members: int
    makespan: float
    ratio: float
    refused: float
    requests_a_job: float
    requests_a_second: float
    server_busy: float
    steward_busy: float
    hints: int
    unfair: float
    start_p50: float
    start_p99: float


class Steward:
    """The real `Matcher`; hints, messages and surveys come from the model."""

    def __init__(self, clock: Clock, server: Server, work: float, strangers: int) -> None:
        self._strangers = strangers  # they come first in the store
        self._clock = clock
        self._server = server
        self._work = work
        self._matcher = Matcher()
        self._members: dict[str, Member] = {}
        self._computes_until = 0.0
        self._surveyed_at = 0.0
        self.busy = 0.0

    def start(self) -> None:
        self._server.connect(GROUP, lambda *hint: self._compute(self._hint, *hint))
        self._survey()

    def _compute(self, call: Callable[..., None], *args: object) -> None:
        """Do `call` when the process has come to it."""
        self.busy += self._work
        self._computes_until = max(self._computes_until, self._clock.now) + self._work
        self._clock.at(self._computes_until, call, *args)

    # What members say.

    def join(self, member: "Member", slots: int) -> None:
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

    def told(self, call: Callable[..., None], *args: object) -> None:
        """Hear a message that a member sends now."""
        self._clock.at(self._clock.now + WAY, self._compute, call, *args)

    # What the server says.

    def _hint(self, id: str, version: int) -> None:
        self._matcher.offer(self._clock.now, id, version, self._clock.now)
        self._match()

    def _survey(self) -> None:
        self._surveyed_at = self._clock.now
        self._server.search(None, PAGE, self._page)

    def _page(self, tasks: list[tuple[str, int]], more: bool) -> None:  # noqa: FBT001 - the model's word
        for task, version in tasks:
            if int(task) >= self._strangers:
                self._matcher.offer(self._clock.now, task, version, self._server.created(task))
        self._match()
        if more:
            self._server.search(tasks[-1][0], PAGE, self._page)
            return
        rest = pause(INTERVAL, [self._clock.now - self._surveyed_at])
        self._clock.at(self._clock.now + rest, self._survey)

    def _match(self) -> None:
        for member, tasks in self._matcher.match(self._clock.now).items():
            self._compute(self._assign, member, tasks)

    def _assign(self, member: str, tasks: list[tuple[str, int]]) -> None:
        for task in tasks:
            self._clock.at(self._clock.now + WAY, self._members[member].assigned, *task)


class Member:
    """A member: claims what it is assigned, and tells of each slot that becomes free."""

    def __init__(self, run: "Run", number: int) -> None:
        self.name = f"member-{number}"
        self._run = run
        self._clock = run.clock
        self._computes_until = 0.0

    def join(self) -> None:
        self._run.steward.told(self._run.steward.join, self, self._run.case.slots)

    def assigned(self, id: str, version: int) -> None:
        self._run.server.acquire(id, version, lambda granted: self._answered(id, version, granted))

    def _answered(self, id: str, version: int, granted: bool) -> None:  # noqa: FBT001 - the model's word
        steward = self._run.steward
        if granted:
            steward.told(steward.claimed, self.name, id, version + 1)
            self._clock.at(self._compute(), self._begin, id)
        else:
            steward.told(steward.refused, self.name, id, version)

    def _compute(self) -> float:
        """Return when the process has done its share of one half of a job."""
        work = self._run.case.work / 2
        self._computes_until = max(self._computes_until, self._clock.now) + work
        return self._computes_until

    def _begin(self, id: str) -> None:
        self._clock.at(self._clock.now + self._run.begin(id), self._end)

    def _end(self) -> None:
        # The slot is free from here on, beside the rest of the job.
        self._run.steward.told(self._run.steward.freed, self.name)
        self._clock.at(self._compute(), self._fulfil)

    def _fulfil(self) -> None:
        self._run.server.fulfil(self._run.end)


class Run:
    """One run of a case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.clock = Clock()
        self.server = Server(self.clock, Random(case.seed), case.server, case.tuning)
        self.steward = Steward(
            self.clock, self.server, case.steward_work, case.finished + case.strangers
        )
        self.created = [0.0] * len(case.costs)
        self.began = [-1.0] * len(case.costs)
        self.ended = 0
        self.last = 0.0

    def outcome(self) -> Outcome:
        """Simulate until every job has ended."""
        case = self.case
        for _ in range(case.finished):
            self.server.preload(GROUP, finished=True)
        for _ in range(case.strangers):
            self.server.preload("strangers")
        if case.rate is None:
            for _ in case.costs:
                self.server.preload(GROUP)
        else:
            self.clock.at(case.begins, self._submit, 0)
        self.steward.start()
        for number in range(case.members):
            member = Member(self, number)
            self.clock.at(case.join * number / case.members, member.join)
        self.clock.run(lambda: self.ended == len(case.costs))
        return self._summary(self.server.counts)

    def begin(self, id: str) -> float:
        """Note that a job begins; return how long it takes."""
        job = int(id) - self.case.strangers - self.case.finished
        self.began[job] = self.clock.now
        return self.case.costs[job]

    def end(self) -> None:
        self.ended += 1
        self.last = self.clock.now

    def _submit(self, job: int) -> None:
        self.created[job] = self.clock.now
        self.server.create(GROUP, lambda _: None)
        if job + 1 < len(self.case.costs):
            self.clock.at(self.clock.now + 1 / (self.case.rate or 1), self._submit, job + 1)

    def _summary(self, counts: Counts) -> Outcome:
        case = self.case
        took = self.last - case.begins
        waits = sorted(b - c for b, c in zip(self.began, self.created, strict=True))
        return Outcome(
            jobs=len(case.costs),
            members=case.members,
            makespan=took,
            ratio=took / max(1e-9, makespan(case.costs, case.members * case.slots)),
            refused=counts.refused / max(1, counts.refused + counts.granted),
            requests_a_job=counts.requests / len(case.costs),
            requests_a_second=counts.requests / self.last,
            server_busy=counts.busy / self.last,
            steward_busy=self.steward.busy / self.last,
            hints=counts.hints,
            unfair=self._unfair(),
            start_p50=waits[len(waits) // 2],
            start_p99=waits[int(len(waits) * 0.99)],
        )

    def _unfair(self) -> float:
        in_order = sorted(self.began)
        return max(
            (began - created) / (fair - created + 0.2)
            for began, created, fair in zip(self.began, self.created, in_order, strict=True)
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate one case and print what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m resonate_fleet.bench.simulation", description=__doc__
    )
    add = parser.add_argument
    add("--members", type=int, default=3, metavar="N", help="of one group; default: 3")
    add("--slots", type=int, default=1, metavar="N", help="of each member; default: 1")
    add("--jobs", type=int, default=1000, metavar="N", help="default: 1000")
    add("--cost", default="0.1..1", metavar="A..B", help="seconds; default: 0.1..1")
    add("--rate", type=float, metavar="R", help="jobs submitted a second; default: all wait")
    add("--work", type=float, default=0.001, help="a member's own seconds a job; default: 0.001")
    add("--retry", type=float, default=30.0, help="the server's retry timeout; default: 30 s")
    add("--servers", type=int, default=1, metavar="N", help="each with a part; default: 1")
    add("--join", type=float, default=0.0, metavar="S", help="seconds until all have come")
    add("--strangers", type=int, default=0, metavar="N", help="waiting jobs of another group")
    add("--finished", type=int, default=0, metavar="N", help="jobs that are over already")
    add("--seed", type=int, default=0)
    asked = parser.parse_args(argv)
    began = time.perf_counter()
    outcome = Run(_case(asked)).outcome()
    shown = {name: _short(value) for name, value in msgspec.structs.asdict(outcome).items()}
    shown["simulated_in"] = _short(time.perf_counter() - began)
    sys.stdout.write("  ".join(f"{name}={value}" for name, value in shown.items()) + "\n")
    return 0


def _case(asked: argparse.Namespace) -> Case:
    low, _, high = asked.cost.partition("..")
    random = Random(asked.seed)
    bounds = float(low), float(high or low)
    share = asked.servers
    return Case(
        members=asked.members // share,
        slots=asked.slots,
        costs=[random.uniform(*bounds) for _ in range(asked.jobs // share)],
        rate=asked.rate / share if asked.rate else None,
        seed=asked.seed,
        work=asked.work,
        strangers=asked.strangers,
        finished=asked.finished,
        join=asked.join,
        tuning=Tuning(retry_timeout=asked.retry),
    )


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())

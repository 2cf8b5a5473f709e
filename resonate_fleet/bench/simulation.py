"""The members' own intake code in virtual time, against a model of the server.

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
from resonate_fleet.contract.presence import Busy, FromMember, Hello, Hint, Idle
from resonate_fleet.member.choice import Choice
from resonate_fleet.member.desk import Action, Census, Desk, Give, Offer, Pass, Peek, Sort
from resonate_fleet.member.looks import Look
from resonate_fleet.steward.exchange import Exchange


@dataclass(frozen=True)
class Case:
    """What is simulated. Times in seconds.

    `rate` None: all jobs wait when the members come; else so many are submitted a second, from
    `begins` on: the members are idle until then.
    `work` is what a member's process computes for one job: its jobs share one interpreter.
    With a `steward` hints that reach a busy member are handed to an idle one.
    `strangers` jobs of another group wait from the beginning, older than all of ours. Members
    `join` evenly over so many seconds.
    """

    members: int = 3
    slots: int = 1
    costs: Sequence[float] = ()
    rate: float | None = None
    begins: float = 0.0
    seed: int = 0
    search: bool = True
    strangers: int = 0
    join: float = 0.0
    steward: bool = False
    work: float = 0.001
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
    hints: int
    unfair: float


class Relay:
    """A steward as the intake knows it: the real `Exchange`, its wires replaced by a delay."""

    #: Seconds that a message takes from one process to the other.
    WAY = 0.0004

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._exchange = Exchange[Member]()

    def tell(self, member: "Member", message: FromMember) -> None:
        self._clock.at(self._clock.now + self.WAY, self._heard, member, message)

    def _heard(self, member: "Member", message: FromMember) -> None:
        found = self._exchange.heard(self._clock.now, member, message)
        if found is not None:
            other, hint = found
            self._clock.at(self._clock.now + self.WAY, other.handed, hint)


class Member:
    """A member: the real `Desk`, its wires replaced by the model."""

    def __init__(
        self,
        case: Case,
        number: int,
        server: Server,
        relay: Relay,
        began: Callable[[int], None],
        ended: Callable[[], None],
    ) -> None:
        random = Random(case.seed * 100_003 + number)
        self.name = f"member-{number}"
        self._case = case
        self.hello = Hello(self.name, "group", case.slots)
        self._server = server
        self._relay = relay
        self._clock = server.clock
        self._began = began
        self._ended = ended
        self._desk = Desk(case.slots, random, Choice(random, self.name))
        if not case.search:
            self._desk.forbidden()
        self._desk.relayed(on=case.steward)
        self._wake = float("inf")
        self._computes_until = 0.0
        self.group = "group"

    def join(self) -> None:
        self._server.connect(self.group, self._hint)
        self._act()

    def _hint(self, id: str, version: int) -> None:
        self._desk.hint(self._clock.now, id, version)
        self._act()

    def handed(self, hint: Hint) -> None:
        self._desk.handed(self._clock.now, hint.task, hint.version)
        self._act()

    def _act(self) -> None:
        for action in self._desk.step(self._clock.now):
            self._do(action)
        wake = self._desk.wake_at
        if wake is not None and (wake < self._wake or self._wake <= self._clock.now):
            self._wake = max(wake, self._clock.now + 1e-6)
            self._clock.at(self._wake, self._woken)

    def _woken(self) -> None:
        if self._clock.now >= self._wake:
            self._wake = float("inf")
            self._act()

    def _do(self, action: Action) -> None:
        match action:
            case Look(limit, after):
                self._server.search(after, limit, self._looked)
            case Sort(limit, after):
                self._server.own(self.group, after, limit, self._sorted)
            case Give(id, version):
                self._server.acquire(
                    id, version, self.name, lambda granted: self._claimed(id, granted)
                )
            case Census():
                self._server.census(self._met)
            case Peek(id):
                self._desk.peeked(self._clock.now, id, ours=True)
            case Pass(id, version):
                self._relay.tell(self, Hint(id, version))
            case Offer(idle):
                self._relay.tell(self, Idle() if idle else Busy())

    def _looked(self, tasks: list[tuple[str, int]], more: bool) -> None:  # noqa: FBT001
        self._desk.looked(self._clock.now, tasks, more=more)
        self._act()

    def _sorted(self, ours: list[str], upto: str | None) -> None:
        self._desk.sorted_out(self._clock.now, set(ours), upto)
        self._act()

    def _met(self, members: list[str]) -> None:
        self._desk.met(self._clock.now, members)
        self._act()

    def _claimed(self, id: str, granted: bool) -> None:  # noqa: FBT001
        if granted:
            self._desk.granted(id)
            self._clock.at(self._compute(), self._run, id)
        else:
            self._desk.refused(id)
        self._act()

    def _compute(self) -> float:
        """Return when the process has done its share of one half of a job."""
        self._computes_until = max(self._computes_until, self._clock.now) + self._case.work / 2
        return self._computes_until

    def _run(self, id: str) -> None:
        job = int(id) - self._case.strangers
        self._began(job)
        self._clock.at(self._clock.now + self._case.costs[job], self._ends, id)

    def _ends(self, id: str) -> None:
        # The slot is free from here on: looking goes beside the rest of the job.
        self._desk.ending(id)
        self._act()
        self._clock.at(self._compute(), self._fulfil, id)

    def _fulfil(self, id: str) -> None:
        self._server.fulfil(self.name, lambda: self._fulfilled(id))

    def _fulfilled(self, id: str) -> None:
        self._desk.done(id)
        self._act()
        self._ended()


class Run:
    """One run of a case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.clock = Clock()
        self.server = Server(self.clock, Random(case.seed), case.server, case.tuning)
        self.created = [0.0] * len(case.costs)
        self.began = [-1.0] * len(case.costs)
        self.ended = 0
        self.last = 0.0

    def outcome(self) -> Outcome:
        """Simulate until every job has ended."""
        case = self.case
        for _ in range(case.strangers):
            self.server.preload("strangers")
        if case.rate is None:
            for _ in case.costs:
                self.server.preload("group")
        else:
            self.clock.at(case.begins, self._submit, 0)
        relay = Relay(self.clock)
        for number in range(case.members):
            member = Member(case, number, self.server, relay, self._began, self._ended)
            self.clock.at(case.join * number / case.members, member.join)
        self.clock.run(lambda: self.ended == len(case.costs))
        return self._summary(self.server.counts)

    def _submit(self, job: int) -> None:
        self.created[job] = self.clock.now
        self.server.create("group", lambda _: None)
        if job + 1 < len(self.case.costs):
            self.clock.at(self.clock.now + 1 / (self.case.rate or 1), self._submit, job + 1)

    def _began(self, job: int) -> None:
        self.began[job] = self.clock.now

    def _ended(self) -> None:
        self.ended += 1
        self.last = self.clock.now

    def _summary(self, counts: Counts) -> Outcome:
        case = self.case
        took = self.last - case.begins
        return Outcome(
            jobs=len(case.costs),
            members=case.members,
            makespan=took,
            ratio=took / max(1e-9, makespan(case.costs, case.members * case.slots)),
            refused=counts.refused / max(1, counts.refused + counts.granted),
            requests_a_job=counts.requests / len(case.costs),
            requests_a_second=counts.requests / self.last,
            server_busy=counts.busy / self.last,
            hints=counts.hints,
            unfair=self._unfair(),
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
    add("--connections", type=int, default=1000, help="that a server takes; default: 1000")
    add("--servers", type=int, default=1, metavar="N", help="each with a part; default: 1")
    add("--join", type=float, default=0.0, metavar="S", help="seconds until all have come")
    add("--strangers", type=int, default=0, metavar="N", help="waiting jobs of another group")
    add("--steward", action="store_true", help="hints of the busy go to the idle")
    add("--hints-only", action="store_true", help="no member may search")
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
        search=not asked.hints_only,
        work=asked.work,
        strangers=asked.strangers,
        join=asked.join,
        steward=asked.steward,
        tuning=Tuning(retry_timeout=asked.retry, connections=asked.connections),
    )


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())

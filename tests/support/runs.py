"""Honest runs out of thin air: a fleet played in virtual time that leaves a whole run folder.

Pure and seeded. What real processes leave behind is of the same shape (tests/system compares);
this is for making many, large and odd ones in no time, and for spoiling them on purpose.
"""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.calls import Call, Result
from resonate_fleet.contract.envelope import Value, encode_value
from resonate_fleet.contract.faults import DEADLY, Fault
from resonate_fleet.contract.run import (
    Guarantees,
    Plan,
    PlannedJob,
    PlannedStrike,
    Record,
    Records,
    RunFolder,
)
from resonate_fleet.contract.wire import Promise, Task
from resonate_fleet.contract.words import COMPUTE_IN_STEPS, COMPUTE_SOMETHING

#: When every such run begins, in Unix seconds.
EPOCH = 1_790_000_000.0
GROUP = "worker-group"
#: Seconds from a job being free to its claim, a request's way, a steward's look, a restart.
WAY, LOOK, RESTART = 0.006, 0.03, 0.7


@dataclass(frozen=True)
class Blow:
    """A strike to play: on the holder of job number `job` when that is `part` done."""

    fault: Fault
    job: int
    part: float = 0.5
    #: How long a pause or partition lasts.
    seconds: float = 1.0
    #: How long the place takes, from being asked to the fault's taking hold.
    lands: float = 0.0


@dataclass
class Run:
    """The files of a run, still in memory: lines by writer, in the order written."""

    plan: Plan
    journals: defaultdict[str, list[j.Line]]
    records: list[Record]
    at: float

    def write(self, root: Path) -> RunFolder:
        """Write the run folder."""
        folder = RunFolder(root)
        folder.journal.mkdir(parents=True, exist_ok=True)
        folder.plan.write_bytes(msgspec.json.encode(self.plan))
        records = Records(at=self.at, server="v0.9.8", records=self.records)
        folder.server.write_bytes(msgspec.json.encode(records))
        for who, lines in self.journals.items():
            text = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
            (folder.journal / f"{who}.jsonl").write_bytes(text)
        return folder


@dataclass
class _Member:
    name: str
    place: str
    slots: int
    alive: bool = True
    taking: bool = True
    thawed: float = 0.0
    frozen: bool = False
    running: dict[str, int] = field(default_factory=dict)
    begun: set[tuple[str, int]] = field(default_factory=set)
    counts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class _Job:
    plan: PlannedJob
    number: int
    version: int = 0
    began: float = 0.0
    stored: int = 0
    created: float = 0.0
    settled: float | None = None
    result: Result | None = None


class Player:
    """Plays one run. Times inside are seconds since its start."""

    def __init__(self, plan: Plan, blows: list[Blow]) -> None:
        self.plan = plan
        self.random = random.Random(plan.seed)
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.journals: defaultdict[str, list[j.Line]] = defaultdict(list)
        self.members: dict[str, _Member] = {}
        self.jobs = {job.id: _Job(job, number) for number, job in enumerate(plan.jobs, start=1)}
        self.blows = {(blow.job, 1): (index, blow) for index, blow in enumerate(blows)}
        self.sent = 0
        self.waiting: list[tuple[int, str]] = []

    def at(self, delay: float, do: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now + delay, self.sent, do))
        self.sent += 1

    def write(self, who: str, line: j.Line) -> None:
        stamped = msgspec.structs.replace(line, at=round(EPOCH + self.now, 6), who=who)
        self.journals[who].append(stamped)

    def play(self) -> Run:
        """Play it to the end and return what it left."""
        plan = self.plan
        self.now = -1.0
        if plan.strikes:
            self.write(
                "chaos", j.RunStarted(scenario=plan.scenario, seed=plan.seed, place=plan.place)
            )
        if plan.steward:
            self.write("steward", j.StewardStarted(version="0.1.0"))
        for number in range(plan.members):
            self.start(f"worker-{number + 1}")
        self.now = 0.0
        self.write("client", j.ClientStarted(group=GROUP, count=len(plan.jobs), seed=plan.seed))
        for job in self.jobs.values():
            self.at(job.plan.at, lambda job=job: self.send(job))  # type: ignore[misc]
        while self.events:
            self.now, _, do = heapq.heappop(self.events)
            do()
        return self.end()

    def end(self) -> Run:
        self.now += 0.2
        if self.plan.strikes:
            self.write("chaos", j.RunEnded(finished=True))
        for member in self.members.values():
            if member.alive:
                self.stop(member)
        records = [record for job in self.jobs.values() for record in self.records(job)]
        return Run(self.plan, self.journals, records, EPOCH + self.now + 0.5)

    # Members.

    def start(self, place: str) -> None:
        name = f"{place}-{self.random.getrandbits(24):06x}"
        member = _Member(name, place, self.plan.slots)
        self.members[name] = member
        started = j.MemberStarted(group=GROUP, slots=member.slots, process=7, version="0.1.0")
        self.write(name, started)
        if self.plan.steward:
            self.write("steward", j.Joined(member=name, group=GROUP))
        self.write(name, j.MemberReady())
        self.dispatch()

    def stop(self, member: _Member) -> None:
        member.alive = False
        for step in ("not-ready", "intake-closed", "finishing", "closed"):
            self.write(member.name, j.DrainStep(step=step, held=0))
        counts = member.counts
        stopped = j.MemberStopped(done=counts["resolved"], failed=0, handed_back=0, lost=0)
        self.write(member.name, stopped)
        if self.plan.steward:
            self.write("steward", j.Left(member=member.name))

    # Jobs.

    def send(self, job: _Job) -> None:
        job.created = self.now
        plan = job.plan
        line = j.Confirmed(
            job=plan.id, group=GROUP, function=plan.function, cost=plan.cost, new=True
        )
        self.write("client", line)
        heapq.heappush(self.waiting, (job.number, plan.id))
        if job.number == len(self.jobs):
            self.write("client", j.ClientEnded(confirmed=len(self.jobs), unconfirmed=0))
        self.dispatch()

    def dispatch(self) -> None:
        """Give the oldest free jobs to members with free slots, at random."""
        while self.waiting:
            free = [
                one
                for one in self.members.values()
                if one.alive and one.taking and len(one.running) < one.slots and not one.frozen
            ]
            if not free:
                return
            _, job = heapq.heappop(self.waiting)
            self.claim(self.jobs[job], self.random.choice(free))

    def claim(self, job: _Job, member: _Member) -> None:
        job.version += 1
        member.running[job.plan.id] = job.version
        version = job.version
        self.at(WAY, lambda: self.begin(job, member, version))

    def begin(self, job: _Job, member: _Member, version: int) -> None:
        if not self._holds(job, member, version):
            return
        if member.frozen:
            self.at(self._thaw_in(member), lambda: self.begin(job, member, version))
            return
        member.begun.add((job.plan.id, version))
        job.began = self.now
        plan = job.plan
        waited = round(self.now - job.created, 6)
        line = j.Claimed(
            job=plan.id, task=plan.id, attempt=version, function=plan.function, waited=waited
        )
        self.write(member.name, line)
        left = plan.cost
        if plan.steps:
            share = plan.cost / plan.steps
            left = share * (plan.steps - job.stored)
            for index, number in enumerate(range(job.stored + 1, plan.steps + 1)):
                self.at(share * index, lambda n=number: self.step(job, member, version, n))  # type: ignore[misc]
        self.at(left + 0.001, lambda: self.finish(job, member, version))
        blow = self.blows.pop((job.number, version), None)
        if blow:
            self.at(left * blow[1].part, lambda: self.strike(blow[0], blow[1], job, member))

    def _holds(self, job: _Job, member: _Member, version: int) -> bool:
        return member.alive and member.running.get(job.plan.id) == version

    def _thaw_in(self, member: _Member) -> float:
        """Return the seconds until a frozen member goes on, just after it has looked about."""
        return max(member.thawed - self.now, 0.0) + 1e-6

    def step(self, job: _Job, member: _Member, version: int, number: int) -> None:
        if not self._holds(job, member, version):
            return
        if member.frozen:
            self.at(self._thaw_in(member), lambda: self.step(job, member, version, number))
            return
        promise = f"{job.plan.id}:{number}"
        share = job.plan.cost / job.plan.steps
        self.write(member.name, j.StepBegan(job=job.plan.id, attempt=version, promise=promise))

        def stored() -> None:
            if self._holds(job, member, version) and not member.frozen:
                job.stored = number
                line = j.StepEnded(
                    job=job.plan.id, attempt=version, promise=promise, seconds=share - 0.002
                )
                self.write(member.name, line)

        self.at(share - 0.002, stored)

    def finish(self, job: _Job, member: _Member, version: int) -> None:
        if not self._holds(job, member, version):
            return
        if member.frozen:
            self.at(self._thaw_in(member), lambda: self.finish(job, member, version))
            return
        plan = job.plan
        job.settled = self.now
        job.result = Result(
            id=plan.id,
            member=member.name,
            attempt=version,
            began=EPOCH + job.began,
            ended=EPOCH + self.now,
            cost=plan.cost,
            steps=plan.steps,
        )
        self.ended(job, member, version, "resolved")

    def ended(self, job: _Job, member: _Member, version: int, outcome: str) -> None:
        if member.running.get(job.plan.id) == version:
            del member.running[job.plan.id]
        member.counts[outcome] += 1
        plan = job.plan
        line = j.Ended(
            job=plan.id,
            task=plan.id,
            attempt=version,
            function=plan.function,
            outcome=outcome,
            seconds=round(self.now - job.began, 6),
        )
        self.write(member.name, line)
        if not member.taking and not member.running:
            self.stop(member)
            self.at(RESTART, lambda: self.start(member.place))
        self.dispatch()

    # Strikes.

    def strike(self, index: int, blow: Blow, job: _Job, member: _Member) -> None:
        if not member.alive or job.plan.id not in member.running or member.frozen:
            self.miss(index, blow)
            return
        asked = self.now
        self.at(blow.lands, lambda: self.land(index, blow, job, member, asked))

    def miss(self, index: int, blow: Blow) -> None:
        missed = j.StrikeMissed(strike=index, fault=blow.fault, why="its holder is struck already")
        self.write("chaos", missed)

    def land(self, index: int, blow: Blow, job: _Job, member: _Member, asked: float) -> None:
        held = sorted(member.running.items())
        if not member.alive or member.frozen:
            self.miss(index, blow)
            return
        struck = j.StrikeDone(
            strike=index,
            fault=blow.fault,
            target=member.name,
            job=job.plan.id,
            held=held,
            answer="done",
            part=blow.part,
            asked=round(EPOCH + asked, 6),
        )
        self.write("chaos", struck)
        if blow.fault in DEADLY:
            self.kill(member, held)
        elif blow.fault == "terminate":
            member.taking = False
        else:
            self.freeze(index, blow, member)

    def kill(self, member: _Member, held: list[tuple[str, int]]) -> None:
        member.alive = False
        self.at(RESTART, lambda: self.start(member.place))
        if not self.plan.steward:
            for task, _ in held:
                self.at(self.plan.lease * 0.9, lambda task=task: self.free(task))  # type: ignore[misc]
            return

        def hand_over() -> None:
            self.write("steward", j.Died(member=member.name, tasks=held))
            for task, version in held:
                seconds = self.plan.grace + LOOK
                line = j.HandedOver(
                    job=task, task=task, attempt=version, member=member.name, seconds=seconds
                )
                self.write("steward", line)
                self.free(task)

        self.at(self.plan.grace + LOOK, hand_over)

    def free(self, task: str) -> None:
        heapq.heappush(self.waiting, (self.jobs[task].number, task))
        self.dispatch()

    def freeze(self, index: int, blow: Blow, member: _Member) -> None:
        member.thawed, member.frozen = self.now + blow.seconds, True
        held = dict(member.running)
        lapses = blow.seconds > self.plan.lease
        if lapses:
            for task in held:
                self.at(self.plan.lease * 0.9, lambda task=task: self.free(task))  # type: ignore[misc]

        def thaw() -> None:
            asked = round(EPOCH + self.now - min(blow.lands, blow.seconds) / 2, 6)
            healed = j.StrikeHealed(strike=index, fault=blow.fault, target=member.name, asked=asked)
            self.write("chaos", healed)
            for task, version in held.items() if lapses else ():
                if (task, version) not in member.begun:  # its answer came too late
                    if member.running.get(task) == version:
                        del member.running[task]
                    continue
                lost = j.LeaseLost(job=task, task=task, attempt=version, why="taken")
                self.write(member.name, lost)
                self.ended(self.jobs[task], member, version, "lost")
            member.frozen = False
            self.dispatch()

        self.at(blow.seconds, thaw)

    # The server.

    def records(self, job: _Job) -> list[Record]:
        plan, settled = job.plan, job.settled
        promise = Promise(
            id=plan.id,
            state="resolved" if job.result else "pending",
            param=_value(Call(func=plan.function, args=[plan.id, plan.cost])),
            value=_value(job.result) if job.result else Value(),
            tags={"resonate:target": f"poll://any@{plan.group}"},
            timeout_at=_ms(job.created + 3600),
            created_at=_ms(job.created),
            settled_at=_ms(settled) if settled is not None else None,
        )
        state = "fulfilled" if job.result else "pending"
        steps = [
            Record(promise=Promise(id=f"{plan.id}:{number}", state="resolved"))
            for number in range(1, job.stored + 1)
        ]
        return [
            Record(promise=promise, task=Task(id=plan.id, state=state, version=job.version)),
            *steps,
        ]


def _value(content: object) -> Value:
    return Value(data=encode_value(content)["data"])


def _ms(at: float) -> int:
    return int((EPOCH + at) * 1000)


def plan(
    *,
    seed: int = 1,
    members: int = 3,
    slots: int = 1,
    jobs: int = 24,
    blows: list[Blow] | None = None,
    **more: object,
) -> Plan:
    """Return a plan of that size: every third job has three steps."""
    dice = random.Random(seed)
    load = [
        PlannedJob(
            id=f"01990000-0000-7000-8000-{number:012d}",
            at=0.001 * number,
            function=COMPUTE_IN_STEPS if number % 3 == 0 else COMPUTE_SOMETHING,
            cost=round(dice.uniform(0.4, 1.6), 3),
            group=GROUP,
            steps=3 if number % 3 == 0 else 0,
        )
        for number in range(1, jobs + 1)
    ]
    strikes = [
        PlannedStrike(
            strike=index,
            fault=blow.fault,
            trigger=f"when job {blow.job} is {blow.part:.0%} done",
            target=f"the holder of job {blow.job}",
        )
        for index, blow in enumerate(blows or [])
    ]
    given: dict[str, object] = {
        "scenario": "played",
        "place": "processes",
        "lease": 60.0,
        "steward": True,
        "deadline": 600.0,
        "guarantees": Guarantees(recovery_seconds=5.0),
    }
    shape = {"seed": seed, "members": members, "slots": slots, "jobs": load, "strikes": strikes}
    return msgspec.convert(given | shape | more, Plan, from_attributes=True)


def play(blows: list[Blow] | None = None, **more: object) -> Run:
    """Play a run with these strikes; `more` goes to `plan`."""
    return Player(plan(blows=blows, **more), blows or []).play()  # type: ignore[arg-type]

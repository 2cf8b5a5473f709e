"""A fleet in virtual time: real stewards and members, the SDK's own core, one model of the server.

What is not real is what lies between them: sockets, threads and clocks.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from resonate_fleet.contract.envelope import encode_value
from resonate_fleet.contract.journal import DrainStep, Ended
from resonate_fleet.contract.words import DEFAULT_GROUP
from resonate_fleet.steward.policy import GroupPolicy
from resonate_fleet.steward.state_file import Memory
from tests.support.model import START
from tests.support.simulated_processes import PORTS, SCAN, SimMember, SimSteward
from tests.support.simulated_server import Server
from tests.support.virtual import Process, VirtualLoop


class Broken(AssertionError):  # noqa: N818 - a finding
    """A promise of the fleet was broken; the message begins with its name."""


@dataclass
class Fleet:
    """Everything at once. `members` and `stewards` hold those that live."""

    loop: VirtualLoop = field(default_factory=VirtualLoop)
    members: list[SimMember] = field(default_factory=list)
    gone: list[SimMember] = field(default_factory=list)
    stewards: list[SimSteward] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    #: `(steward, member)`: the connection between them has been broken.
    parted: set[tuple[str, str]] = field(default_factory=set)
    started: int = 0
    policies: dict[str, GroupPolicy] = field(default_factory=dict)
    #: What was found broken on the loop, where nobody would hear an exception.
    findings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.server = Server(self.loop)
        self._patches: list[Any] = [
            patch("time.monotonic", self.loop.time),
            patch("time.time", lambda: START / 1000 + self.loop.seconds),
            patch("resonate_fleet.contract.sockets.keep_from_children", lambda _: None),
        ]
        for one in self._patches:
            one.start()
        self.loop.create_task(self._scan())

    def close(self) -> None:
        for process in self.processes():
            process.kill()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_for(0.01)
        for one in self._patches:
            one.stop()
        self.loop.close()
        self.server.model.close()

    async def _scan(self) -> None:
        while True:
            await asyncio.sleep(SCAN)
            self.server.tick()

    def processes(self) -> list[Process]:
        members = [one.process for one in self.members]
        return members + [one.process for one in self.stewards]

    # What can be done.

    def pass_time(self, seconds: float) -> None:
        self.loop.run_for(seconds)
        self.check()

    def submit(self, cost: float, *, id: str = "", **tags: str) -> str:
        job = id or f"job-{len(self.jobs)}"
        self.server.model.seconds = self.loop.seconds
        call = {"func": "work", "args": [cost]}
        self.jobs.append(self.server.model.job(job, encode_value(call), **tags))
        self.server.send_soon()
        return job

    def add_member(self, slots: int = 1, group: str = DEFAULT_GROUP) -> SimMember:
        self.started += 1
        self.members.append(SimMember(self, f"member-{self.started}", slots, group))
        return self.members[-1]

    def add_steward(self, port: int, memory: Memory | None = None) -> SimSteward:
        """`memory`: what the steward before it has left in its state file."""
        self.started += 1
        name = f"steward-{self.started}"
        self.stewards.append(SimSteward(self, port, name, memory or Memory()))
        return self.stewards[-1]

    def kill_member(self, one: SimMember) -> None:
        one.process.kill()
        self._bury(one)

    def _bury(self, one: SimMember) -> None:
        self.members.remove(one)
        self.gone.append(one)

    def kill_steward(self, one: SimSteward) -> None:
        one.process.kill()
        self.stewards.remove(one)

    def drain(self, one: SimMember) -> None:
        one.drain()
        self._bury(one)
        self.check()

    def cut(self, one: SimMember, port: int, *, late: float, for_long: bool) -> None:
        """Break the connection between a member and a steward; it cannot come back `for_long`."""
        self.parted |= {
            (steward.process.name, one.process.name)
            for steward in self.stewards
            if steward.port == port
        }
        if for_long:
            one.process.cut_off.add(port)
        for end in [end for end in one.process.ends if end.port == port]:
            end.cut(late=late)

    def heal(self) -> None:
        for process in self.processes():
            process.deaf, process.lag = False, 0.001
            process.loses.clear()
            process.cut_off.clear()

    def holder(self, job: str) -> SimMember:
        """Return the member that has the job."""
        pid = self.server.model.task(job)["pid"]
        return next(one for one in self.members if one.process.name == pid)

    # What must hold.

    def check(self) -> None:
        """Raise `Broken` where something happened that never may."""
        for finding in self.findings:
            raise Broken(finding)
        present = {one.process.name for one in self.members}
        for taken in self.server.taken:
            away = taken.holder not in present or (taken.steward, taken.holder) in self.parted
            if "steward" in taken.steward and not away:
                why = "a member that was never away loses no lease to a steward"
                raise Broken(f"{why}: {taken}")
        for one in (*self.members, *self.gone):
            self._check_member(one)

    def _check_member(self, one: SimMember) -> None:
        resolved = [line for line in one.journal.of(Ended) if line.outcome == "resolved"]
        for line in resolved:
            if (line.task, line.attempt) not in self.server.accepted:
                raise Broken(f"what a member calls done the server has accepted: {line}")
        ends = [line.at for line in one.journal.of(DrainStep) if line.step == "handing-back"]
        if ends and max(one.begun, default=0.0) > ends[0] - START / 1000:
            raise Broken(f"a drained member begins nothing: {one.process.name}")

    def check_rest(self) -> None:
        """Raise `Broken` where a member that is connected works on what it has lost."""
        for one in self.members:
            for attempt in one.attempts():
                found = self.server.model.task(attempt.task)
                stands = (found["state"], found["version"]) == ("acquired", attempt.version)
                if not stands and not attempt.lease.writing:
                    raise Broken(f"a member stops what it is told it has lost: {attempt}, {found}")

    def check_knowledge(self) -> None:
        """Raise `Broken` where those who are connected go on to take each other wrong."""
        for _ in range(100):
            if not (wrong := self._misbelief()):
                self.parted.clear()  # whoever lives has all its connections again
                self.server.taken.clear()
                return
            self.pass_time(0.05)
        raise Broken(wrong)

    def _misbelief(self) -> str:
        """Return what is not so as somebody takes it to be; for a moment that is no fault."""
        serving = min(self.stewards, key=lambda one: one.rank, default=None)
        for one in self.members if serving else ():
            name, held = one.process.name, one.holds()
            for steward in self.stewards:
                counted, free = steward.credits_of(one), one.free if steward is serving else 0
                # One too many may be left by a task that a second steward assigned: it is returned.
                if counted < free or (counted > free and steward is not serving):
                    why = "a steward counts the slots that it is offered"
                    return f"{why}: {counted}, {free}, {name}"
                if (taken := steward.held_by(one)) != held:
                    return f"a steward knows what a member holds: {taken}, {held}, {name}"
            if any(stream.group == one.group for stream in self.server.streams_of(one.process)):
                return f"a member that has a steward looks for no work itself: {name}"
            tasks = [self.server.model.task(job) for job in self.jobs]
            stand = {(task["id"], task["version"]) for task in tasks if task.get("pid") == name}
            if stand - held:
                return f"a member keeps no lease that it does not know: {stand - held}, {name}"
        return ""

    def end_well(self) -> None:
        """The faults end; whatever is left is done."""
        self.heal()
        for port in PORTS:
            if all(one.port != port for one in self.stewards):
                self.add_steward(port)
        self.add_member(2)
        self.pass_time(2)
        self.check_rest()
        self.check_knowledge()
        for _ in range(40):
            self.pass_time(2)
            for job in self.jobs:
                if self.server.model.task(job)["state"] == "halted":
                    self.server.model.call("task.continue", id=job)
                    self.server.send_soon()
            if all(self.server.model.promise(job)["state"] == "resolved" for job in self.jobs):
                return
        states = [self.server.model.task(job) for job in self.jobs]
        raise Broken(f"every job is done when the faults have ended: {states}")

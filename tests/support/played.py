"""A live state that is played, not lived: members, attempts, a death, a hand-over, for the console.

The same seed plays the same. Time moves only when `step` is called.
"""

import random
import time
from collections.abc import Iterator
from itertools import count

import msgspec

from resonate_fleet.contract.live import (
    LiveAttempt,
    LiveGroup,
    LiveMark,
    LiveMember,
    LiveParked,
    LiveState,
)

FUNCTIONS = ("resize_picture", "charge_card", "send_invoice")


class Played:
    """`members` of `slots` each; attempts last `cost` seconds on average; `at` in Unix seconds."""

    def __init__(
        self, members: int, slots: int, at: float, cost: float = 2.0, seed: int = 1
    ) -> None:
        self.at = at
        self._cost = cost
        self._chance = random.Random(seed)
        self._numbers = count(1)
        self._serial = f"{seed:02d}"
        self.waiting: list[tuple[str, int]] = []
        self.running: dict[str, LiveAttempt] = {}
        self.ends: dict[str, float] = {}
        self.ended: list[LiveAttempt] = []
        self.marks: list[LiveMark] = []
        self.parked: list[LiveParked] = []
        self.redone = 0
        self.members = {
            name: LiveMember(
                member=name, group="worker-group", slots=slots, free=slots, since=at - 1
            )
            for name in (f"worker-{number}" for number in range(1, members + 1))
        }

    def submit(self, jobs: int) -> None:
        self.waiting += [(f"order-{self._serial}-{next(self._numbers)}", 0) for _ in range(jobs)]

    def step(self, seconds: float) -> None:
        """Let time pass, end what is over, start what waits."""
        self.at += seconds
        for task in [one for one, end in self.ends.items() if end <= self.at]:
            self._end(task, self._chance.choices(("resolved", "rejected"), (30, 1))[0])
        for member in self._free():
            if not self.waiting:
                break
            self._start(member, *self.waiting.pop(0))

    def kill(self, name: str) -> None:
        """Let a member die; what it held waits again, at the front."""
        member = self.members[name]
        self.members[name] = _with(member, state="dead", until=self.at)
        self.marks.append(LiveMark(at=self.at, kind="died", member=name))
        for task, one in list(self.running.items()):
            if one.member == name:
                self._end(task, "died")
                self.marks.append(
                    LiveMark(at=self.at + 0.1, kind="handed-over", member=name, job=one.job)
                )
                self.waiting.insert(0, (task, one.attempt))
                self.redone += 1

    def state(self) -> LiveState:
        present = [one for one in self.members.values() if one.state == "present"]
        group = LiveGroup(
            group="worker-group",
            members=len(present),
            slots=sum(one.slots for one in present),
            waiting=len(self.waiting),
            oldest=self.at - len(self.waiting) / 5 if self.waiting else None,
            running=len(self.running),
            parked=len(self.parked),
            done=sum(one.done for one in self.members.values()),
            failed=sum(one.failed for one in self.members.values()),
            redone=self.redone,
        )
        return LiveState(
            at=self.at,
            steward="steward-1",
            since=1.0,
            groups=[group],
            members=list(self.members.values()),
            running=list(self.running.values()),
            ended=self.ended[-20000:],
            marks=list(self.marks),
            parked=list(self.parked),
        )

    def _free(self) -> Iterator[str]:
        """Yield members with a free slot, in turns, one for each slot."""
        free = {name: one.free for name, one in self.members.items() if one.state == "present"}
        for turn in range(max(free.values(), default=0)):
            yield from (name for name, slots in free.items() if slots > turn)

    def _start(self, member: str, task: str, attempts: int) -> None:
        self.running[task] = LiveAttempt(
            task=task,
            job=task,
            attempt=attempts + 1,
            function=self._chance.choice(FUNCTIONS),
            group="worker-group",
            member=member,
            since=self.at,
        )
        self.ends[task] = self.at + self._cost * self._chance.uniform(0.2, 1.8)
        self.members[member] = _with(self.members[member], free=self.members[member].free - 1)

    def _end(self, task: str, outcome: str) -> None:
        one = self.running.pop(task)
        del self.ends[task]
        member = self.members[one.member]
        self.ended.append(_with(one, ended=self.at, outcome=outcome))
        self.members[one.member] = _with(
            member,
            free=member.free + 1,
            done=member.done + (outcome == "resolved"),
            failed=member.failed + (outcome == "rejected"),
            busy=member.busy + self.at - one.since,
        )


def at_work(members: int, cost: float = 60.0) -> Played:
    """Return members of one slot, each in the middle of a job, as of now."""
    fleet = Played(members, 1, time.time(), cost=cost)
    fleet.submit(members)
    fleet.step(0.1)
    return fleet


def _with[T: msgspec.Struct](one: T, **changes: object) -> T:
    return msgspec.structs.replace(one, **changes)

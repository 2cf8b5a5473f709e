"""Pairs waiting tasks with free slots. Pure.

One matcher serves one group. Members offer a free slot as a credit; `match` assigns each waiting
task to one credit. The member claims the task on the server and answers what became of it.
Correctness does not rest on it: the server's claim decides, and a lost message only costs a wait.
Times are seconds of the caller's clock.

A task either waits in the queue, for its turn or for its time, or is assigned. A claim at version v
makes attempt v + 1.

| from | event | to | its limit (under a policy) |
|---|---|---|---|
| - | `offer` | queue; it pauses if a member gave it back unfinished | - |
| queue | its turn, and the member has the function | assigned | counts |
| assigned | `claimed` | forgotten: it runs | counts until `vacate` |
| assigned | `refused`: another has it | forgotten; a newer `offer` stands | counts no more |
| assigned | `returned`, member left, `ANSWER_SECONDS` over | as for `offer` | counts no more |
| queue | `drop`, `keep`: claimed elsewhere, or over | forgotten | - |
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from itertools import islice

from resonate_fleet.contract.backoff import doubled
from resonate_fleet.steward.attempts import Latest
from resonate_fleet.steward.claimant import Assigned, Claimant, why_nobody
from resonate_fleet.steward.fair import FairQueue
from resonate_fleet.steward.subqueues import Waiting

#: Seconds after which a task without the member's answer goes to another credit.
ANSWER_SECONDS = 1.0
#: Pause of a task given back for another reason than its function: first, longest, seconds.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class Matcher:
    """The waiting tasks and the members of one group."""

    def __init__(self, queue: FairQueue | None = None) -> None:
        self.queue = queue or FairQueue()
        self.assigned: dict[str, Assigned] = {}
        #: In the order of their deadlines: all have the same `ANSWER_SECONDS`.
        self._deadlines: deque[Assigned] = deque()
        self._members: dict[str, Claimant] = {}
        #: Members with credits, the next one first.
        self._ready: OrderedDict[str, Claimant] = OrderedDict()
        #: Some member lacks a function that another has.
        self._differ = False
        #: Tasks that were given back: the function that did not begin; how often it was not that.
        self._declined: Latest[tuple[str, int]] = Latest()

    # What is shown.

    def __len__(self) -> int:
        """Return how many tasks wait or are assigned."""
        return len(self.queue.waiting) + len(self.assigned)

    def __contains__(self, task: str) -> bool:
        return task in self.queue.waiting or task in self.assigned

    def credits_of(self, member: str) -> int:
        return self._members[member].credits if member in self._members else 0

    @property
    def is_mixed(self) -> bool:
        """Whether some member lacks a function that another has, or that a task needs."""
        return self._differ or bool(self.queue.aside)

    def oldest(self) -> float | None:
        """Return since when the oldest task waits."""
        first = self.queue.oldest()
        return first.since if first else None

    def why(self, now: float, task: str) -> str:
        """Return what a task waits for besides a slot, "" for nothing else."""
        waiting = self.queue.waiting.get(task)
        if waiting is None:
            return ""
        return why_nobody(waiting.needs, self._members.values()) or self.queue.why(now, waiting)

    def blocked(self, now: float) -> dict[str, int]:
        """Return how many tasks wait for something else than a slot, by what it is."""
        aside = self.queue.aside.items()
        found = {why_nobody(name, self._members.values()): count for name, count in aside}
        found.pop("", None)
        return found | self.queue.limited(now)

    def stuck(self) -> dict[str, str]:
        """Return the first task of each reason that no member may begin it."""
        firsts = {name: self.queue.oldest(name) for name in self.queue.aside}
        found = (
            (why_nobody(name, self._members.values()), first) for name, first in firsts.items()
        )
        return {why: first.task for why, first in found if why and first is not None}

    def requeue(self, queue: FairQueue) -> None:
        """Use another queue; the tasks in the present one move over."""
        before, self.queue = self.queue, queue
        for waiting in before.waiting.values():
            queue.add(waiting)

    # What is heard of tasks.

    def offer(self, now: float, task: str, version: int, since: float, needs: str = "") -> None:
        """Take a task that is claimable at `version`; `since`: its turn.

        `needs`: its function, where that is known.
        """
        if (assigned := self.assigned.get(task)) is not None:
            if version > assigned.waiting.version:
                assigned.newer = Waiting(task, version, since, now, needs)
        elif (known := self.queue.waiting.get(task)) is not None:
            known.heard_at = now
            known.version = max(known.version, version)
            known.needs = needs or known.needs
        else:
            self._wait(now, Waiting(task, version, since, now, needs))

    def drop(self, task: str, attempt: int | None = None) -> None:
        """Forget a task that does not wait: it was claimed (as `attempt`), or is over."""
        waiting = self.queue.waiting.get(task)
        if waiting is not None and (attempt is None or waiting.version < attempt):
            self.queue.drop(waiting)

    def keep(self, pending: Mapping[str, object], at: float) -> None:
        """Forget what was heard of before `at` and what a search begun then has not shown."""
        for waiting in list(self.queue.waiting.values()):
            if waiting.heard_at < at and waiting.task not in pending:
                self.queue.drop(waiting)

    # What is heard of members.

    def join(self, member: str, slots: int, functions: Iterable[str] = ()) -> None:
        self._members[member] = Claimant(member, slots, frozenset(functions))
        self._compare()

    def _compare(self) -> None:
        self._differ = len({one.functions for one in self._members.values()}) > 1

    def credit(self, member: str, count: int) -> None:
        """Note `count` more free slots; nobody has more of them than slots."""
        one = self._members[member]
        left = one.slots - one.credits - len(one.assigned) - len(one.owed)
        one.credits += max(0, min(count, left))
        self._make_ready(one)

    def _make_ready(self, one: Claimant) -> None:
        """Let a member be served, after all others, if it has a credit and owes no answer."""
        if one.credits and not one.owed:
            self._ready.setdefault(one.name, one)

    def filled(self, member: str, functions: Iterable[str]) -> None:
        """Note the functions whose limit is reached in a member."""
        one = self._members[member]
        one.full = frozenset(functions)
        one.bounded |= one.full

    def withdraw(self, member: str) -> None:
        """Take back the member's credits; what is assigned to it still is."""
        self._members[member].credits = 0
        self._ready.pop(member, None)

    def leave(self, now: float, member: str) -> list[str]:
        """Forget a member; return the assigned tasks that it has not answered for."""
        one = self._members.pop(member, None)
        if one is None:
            return []
        self._compare()
        self._ready.pop(member, None)
        unanswered = [*one.assigned, *one.owed]
        for task in list(one.assigned):
            self._back(now, self._end(task))
        return unanswered

    # What a member answers to an assignment.

    def claimed(self, now: float, member: str, task: str, attempt: int) -> Waiting | None:
        """Note a claim that the server has granted; return how the task waited."""
        assigned = self._answered(member, task)
        found = assigned.waiting if assigned else self.queue.waiting.get(task)
        self._decided(now, assigned, task, attempt)
        return found

    def refused(self, now: float, member: str, task: str, version: int) -> None:
        """Note that somebody else has claimed the task at `version`. A new hint brings it back."""
        assigned = self._answered(member, task)
        if assigned is not None:
            self.queue.limits.vacate(task)
        self._decided(now, assigned, task, version + 1)

    def _decided(self, now: float, assigned: Assigned | None, task: str, attempt: int) -> None:
        """Forget the task, but for what was heard since of a later claim than `attempt`."""
        if assigned is not None and assigned.newer is not None:
            self._wait(now, assigned.newer)
        self.drop(task, attempt)

    def returned(self, now: float, member: str, task: str) -> None:
        """Note that the member had no slot for the task."""
        assigned = self._answered(member, task)
        if assigned is not None:
            self._back(now, assigned)

    def declined(self, task: str, needs: str) -> None:
        """Note that a member gives the task back. `needs`: the function that cannot begin there."""
        _, times = self._declined.get(task, ("", 0))
        self._declined.note(task, (needs, times + (not needs)))
        if needs and (waiting := self.queue.waiting.get(task)) is not None:
            waiting.needs = needs  # its next hint came before the member's report

    def ended(self, task: str) -> None:
        """Note that a job is over: earlier declines count no more."""
        self._declined.pop(task, None)

    # Matching.

    def match(self, now: float) -> dict[str, list[tuple[str, int]]]:
        """Return what each member is to claim now, as `(task, version)`."""
        while self._deadlines and self._deadlines[0].deadline <= now:
            late = self._deadlines.popleft()
            if self._is_open(late):
                self._give_up(now, late)
        self.queue.wake(now)
        found: dict[str, list[tuple[str, int]]] = {}
        passed: list[Claimant] = []
        while self._ready and self.queue.waiting:
            _, member = self._ready.popitem(last=False)
            waiting = self.queue.take(now, member.may_begin)
            if waiting is None:
                passed.append(member)
                continue
            found.setdefault(member.name, []).append((waiting.task, waiting.version))
            self._assign(now, member, waiting)
        for member in reversed(passed):  # they keep their turn
            self._ready[member.name] = member
            self._ready.move_to_end(member.name, last=False)
        return found

    def wake_at(self) -> float | None:
        """Return when `match` must be called though nothing happens until then."""
        while self._deadlines and not self._is_open(self._deadlines[0]):
            self._deadlines.popleft()
        times = [one.deadline for one in islice(self._deadlines, 1)]
        if (at := self.queue.wake_at()) is not None:
            times.append(at)
        return min(times, default=None)

    def _is_open(self, one: Assigned) -> bool:
        return self.assigned.get(one.waiting.task) is one

    def _give_up(self, now: float, late: Assigned) -> None:
        """Offer the task to others; the member gets no new one until it has answered.

        It may be stuck and still claim later. Until it answers, the task fills a slot of it.
        """
        self._end(late.waiting.task)
        late.member.owed.add(late.waiting.task)
        self._ready.pop(late.member.name, None)
        self._back(now, late)

    def _assign(self, now: float, member: Claimant, waiting: Waiting) -> None:
        assigned = Assigned(member, waiting, now + ANSWER_SECONDS)
        self.assigned[waiting.task] = assigned
        self._deadlines.append(assigned)
        member.assigned[waiting.task] = waiting
        member.credits -= 1
        self._make_ready(member)

    def _end(self, task: str) -> Assigned:
        """Remove and return an assignment."""
        assigned = self.assigned.pop(task)
        del assigned.member.assigned[task]
        return assigned

    def _answered(self, member: str, task: str) -> Assigned | None:
        """Take the task off those that the member has not answered for."""
        one = self._members.get(member)
        if one is None:
            return None
        one.owed.discard(task)
        self._make_ready(one)
        return self._end(task) if task in one.assigned else None

    def _back(self, now: float, assigned: Assigned) -> None:
        """Let an assigned task wait again, at the newest version that was heard."""
        waiting = assigned.waiting
        self.queue.limits.vacate(waiting.task)
        if assigned.newer is not None:
            waiting.version = assigned.newer.version
        waiting.heard_at = now
        self._wait(now, waiting)

    def _wait(self, now: float, waiting: Waiting) -> None:
        needs, times = self._declined.get(waiting.task, ("", 0))
        waiting.needs = needs or waiting.needs
        pause = doubled(FIRST_PAUSE, times - 1, LONGEST_PAUSE)
        waiting.pauses_until = now + pause if times else 0.0
        self.queue.add(waiting)

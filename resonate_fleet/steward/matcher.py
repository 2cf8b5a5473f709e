"""Pairs waiting tasks with free slots, first come, first served. Pure.

One matcher serves one group. Members offer a free slot as a credit; `match` assigns each waiting
task to one credit. The member claims the task on the server and answers what became of it.
Correctness does not rest on it: the server's claim decides, and a lost message only costs a wait.
Times are seconds of the caller's clock.

A task is in exactly one of three: the queue, the paused, the assigned. A claim at version v makes
attempt v + 1.

| from | event | to | its limit (under a policy) |
|---|---|---|---|
| - | `offer` | queue; paused if a member gave it back unfinished | - |
| paused | its pause is over | queue | - |
| queue | its turn, and the member has the function | assigned | counts |
| assigned | `claimed` | forgotten: it runs | counts until `vacate` |
| assigned | `refused`: another has it | forgotten; a newer `offer` stands | counts no more |
| assigned | `returned`, member left, `ANSWER_SECONDS` over | as for `offer` | counts no more |
| queue, paused | `drop`, `keep`: claimed elsewhere, or over | forgotten | - |
"""

from collections.abc import Iterable, Mapping

from resonate_fleet.steward.assignments import Assigned, Assignments
from resonate_fleet.steward.claimant import Claimant, Claimants
from resonate_fleet.steward.declines import Declines
from resonate_fleet.steward.waiting import (
    FirstCome,
    NoLimits,
    Queue,
    QueueLimits,
    SetAside,
    Waiting,
)


class Matcher:
    """The waiting tasks and the members of one group."""

    def __init__(self, queue: Queue | None = None, limits: QueueLimits | None = None) -> None:
        # Under a policy both are one `FairQueue`. What is taken from it counts for its limits at
        # once, until `vacate`.
        self._queue: Queue = queue if queue is not None else FirstCome()
        self.limits: QueueLimits = limits if limits is not None else NoLimits()
        self._waiting: dict[str, Waiting] = {}
        self._assigned = Assignments()
        self._members = Claimants()
        self._declines = Declines()

    # What is shown.

    def __len__(self) -> int:
        """Return how many tasks wait or are assigned."""
        return len(self._waiting) + len(self._assigned)

    def __contains__(self, task: str) -> bool:
        return task in self._waiting or task in self._assigned

    def credits_of(self, member: str) -> int:
        found = self._members.get(member)
        return found.credits if found else 0

    @property
    def is_mixed(self) -> bool:
        """Whether some member lacks a function that another has, or that a task needs."""
        return self._members.mixed or bool(self._queue.aside())

    def oldest(self) -> float | None:
        """Return since when the oldest task waits."""
        first = self._queue.oldest()
        return first.since if first else None

    def waiting(self) -> Iterable[Waiting]:
        """Return the tasks that wait and are not assigned."""
        return self._waiting.values()

    @property
    def assigned(self) -> set[str]:
        """The tasks that members are told to claim and have not answered for."""
        return set(self._assigned)

    def why(self, now: float, task: str) -> str:
        """Return what a task waits for besides a slot, "" for nothing else."""
        waiting = self._waiting.get(task)
        if waiting is None:
            return ""
        needs = waiting.needs if waiting.queue is not None else ""
        return self._members.why_nobody(needs) or self.limits.why(now, task)

    def blocked(self, now: float) -> dict[str, int]:
        """Return how many tasks wait for something else than a slot, by that."""
        return {why: aside.size for why, aside in self._set_aside()} | self.limits.limited(now)

    def stuck(self) -> dict[str, str]:
        """Return the first task of each reason of `blocked`."""
        return {why: aside.first.task for why, aside in self._set_aside()}

    def _set_aside(self) -> list[tuple[str, SetAside]]:
        """Return the tasks that no member may begin just now, by the reason."""
        aside = self._queue.aside().items()
        return [(why, one) for name, one in aside if (why := self._members.why_nobody(name))]

    def requeue(self, queue: Queue, limits: QueueLimits) -> None:
        """Use another queue; the tasks in the present one move over."""
        self._queue, self.limits = queue, limits
        for waiting in self._waiting.values():
            if waiting.queue is not None:
                queue.add(waiting)

    # What is heard of tasks.

    def offer(self, now: float, task: str, version: int, since: float, needs: str = "") -> None:
        """Take a task that is claimable at `version`; `since`: its turn.

        `needs`: its function, where that is known.
        """
        if (assigned := self._assigned.get(task)) is not None:
            if version > assigned.waiting.version:
                assigned.newer = Waiting(task, version, since, now, needs)
            return
        if (known := self._waiting.get(task)) is not None:
            known.heard_at = now
            known.version = max(known.version, version)
            known.needs = needs or known.needs
            return
        self._wait(now, Waiting(task, version, since, now, needs))

    def drop(self, task: str, attempt: int | None = None) -> None:
        """Forget a task that does not wait: it was claimed (as `attempt`), or is over."""
        waiting = self._waiting.get(task)
        if waiting is not None and (attempt is None or waiting.version < attempt):
            self._forget(waiting)

    def keep(self, pending: Mapping[str, object], at: float) -> None:
        """Forget what was heard of before `at` and what a search begun then has not shown."""
        for waiting in list(self._waiting.values()):
            if waiting.heard_at < at and waiting.task not in pending:
                self._forget(waiting)

    # What is heard of members.

    def join(self, member: str, slots: int, functions: Iterable[str] = ()) -> None:
        self._members.join(member, slots, functions)

    def credit(self, member: str, count: int) -> None:
        """Note `count` more free slots; nobody has more of them than slots."""
        self._members.credit(member, count)

    def filled(self, member: str, functions: Iterable[str]) -> None:
        """Note the functions whose limit is reached in a member."""
        self._members.filled(member, functions)

    def withdraw(self, member: str) -> None:
        """Take back the member's credits; what is assigned to it still is."""
        self._members.withdraw(member)

    def leave(self, now: float, member: str) -> list[str]:
        """Forget a member; return the assigned tasks that it has not answered for."""
        one = self._members.leave(member)
        if one is None:
            return []
        unanswered = [*one.assigned, *one.owed]
        for task in list(one.assigned):
            self._back(now, self._assigned.end(task))
        return unanswered

    # What a member answers to an assignment.

    def claimed(self, now: float, member: str, task: str, attempt: int) -> Waiting | None:
        """Note a claim that the server has granted; return how the task waited."""
        assigned = self._answered(member, task)
        found = assigned.waiting if assigned else self._waiting.get(task)
        if assigned is not None and assigned.newer and assigned.newer.version >= attempt:
            self._wait(now, assigned.newer)
        self.drop(task, attempt)
        return found

    def refused(self, now: float, member: str, task: str, version: int) -> None:
        """Note that somebody else has claimed the task at `version`. A new hint brings it back."""
        assigned = self._answered(member, task)
        if assigned is not None:
            self.limits.vacate(task)
        if assigned is not None and assigned.newer is not None:
            self._wait(now, assigned.newer)
        self.drop(task, version + 1)

    def returned(self, now: float, member: str, task: str) -> None:
        """Note that the member had no slot for the task."""
        assigned = self._answered(member, task)
        if assigned is not None:
            self._back(now, assigned)

    def declined(self, task: str, needs: str) -> None:
        """Note that a member gives the task back. `needs`: the function that cannot begin there."""
        self._declines.note(task, needs)
        if needs and (waiting := self._waiting.get(task)) is not None:
            waiting.needs = needs  # its next hint came before the member's report

    def ended(self, task: str) -> None:
        """Note that a job is over: earlier declines count no more."""
        self._declines.forget(task)

    # Matching.

    def match(self, now: float) -> dict[str, list[tuple[str, int]]]:
        """Return what each member is to claim now, as `(task, version)`."""
        self._wake(now)
        found: dict[str, list[tuple[str, int]]] = {}
        passed: list[Claimant] = []
        ready = self._members.ready
        while ready and self._queue:
            _, member = ready.popitem(last=False)
            waiting = self._queue.take(now, member.may_begin)
            if waiting is None:
                passed.append(member)
                continue
            found.setdefault(member.name, []).append((waiting.task, waiting.version))
            self._assign(now, member, waiting)
        self._members.first_again(reversed(passed))
        return found

    def wake_at(self) -> float | None:
        """Return when `match` must be called though nothing happens until then."""
        times = (self._declines.wake_at(), self._assigned.wake_at(), self.limits.wake_at())
        return min((one for one in times if one is not None), default=None)

    def _wake(self, now: float) -> None:
        for late in self._assigned.late(now):
            self._give_up(now, late)
        for waiting in self._declines.rested(now):
            self._queue.add(waiting)

    def _give_up(self, now: float, late: Assigned) -> None:
        """Offer the task to others; the member gets no new one until it has answered.

        It may be stuck and still claim later. Until it answers, the task fills a slot of it.
        """
        member, task = late.member, late.waiting.task
        self._assigned.end(task)
        member.owed.add(task)
        self._members.ready.pop(member.name, None)
        self._back(now, late)

    def _assign(self, now: float, member: Claimant, waiting: Waiting) -> None:
        del self._waiting[waiting.task]
        self._assigned.add(now, member, waiting)
        self._members.make_ready(member)

    def _answered(self, member: str, task: str) -> Assigned | None:
        """Take the task off those that the member has not answered for."""
        one = self._members.get(member)
        if one is None:
            return None
        one.owed.discard(task)
        self._members.make_ready(one)
        return self._assigned.end(task) if task in one.assigned else None

    def _back(self, now: float, assigned: Assigned) -> None:
        """Let an assigned task wait again, at the newest version that was heard."""
        waiting = assigned.waiting
        self.limits.vacate(waiting.task)
        if assigned.newer is not None:
            waiting.version = assigned.newer.version
        waiting.heard_at = now
        self._wait(now, waiting)

    def _wait(self, now: float, waiting: Waiting) -> None:
        self._waiting[waiting.task] = waiting
        if not self._declines.pauses(now, waiting):
            self._queue.add(waiting)

    def _forget(self, waiting: Waiting) -> None:
        del self._waiting[waiting.task]
        waiting.dropped = True
        if waiting.queue is not None:
            waiting.queue.drop(waiting)

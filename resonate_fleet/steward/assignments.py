"""Assigned tasks whose members have not answered, with their deadlines. Pure."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from resonate_fleet.steward.claimant import Claimant
from resonate_fleet.steward.waiting import Waiting

#: Seconds after which a task without the member's answer goes to another credit.
ANSWER_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class Assigned:
    """`newer`: the task at a later version, if that was heard meanwhile."""

    member: Claimant
    waiting: Waiting
    deadline: float
    newer: Waiting | None = None


class Assignments:
    """Assignments by task. Each is noted in its member too."""

    def __init__(self) -> None:
        self._by_task: dict[str, Assigned] = {}
        #: In the order of their deadlines: all have the same `ANSWER_SECONDS`.
        self._deadlines: deque[Assigned] = deque()

    def __len__(self) -> int:
        return len(self._by_task)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_task)

    def __contains__(self, task: str) -> bool:
        return task in self._by_task

    def get(self, task: str) -> Assigned | None:
        return self._by_task.get(task)

    def add(self, now: float, member: Claimant, waiting: Waiting) -> None:
        assigned = Assigned(member, waiting, now + ANSWER_SECONDS)
        self._by_task[waiting.task] = assigned
        self._deadlines.append(assigned)
        member.assigned[waiting.task] = waiting
        member.credits -= 1

    def end(self, task: str) -> Assigned:
        """Remove and return an assignment."""
        assigned = self._by_task.pop(task)
        del assigned.member.assigned[task]
        return assigned

    def late(self, now: float) -> Iterator[Assigned]:
        """Yield those whose deadline has come, once each."""
        while self._deadlines and self._deadlines[0].deadline <= now:
            late = self._deadlines.popleft()
            if self._is_open(late):
                yield late

    def wake_at(self) -> float | None:
        """Return the next deadline."""
        while self._deadlines and not self._is_open(self._deadlines[0]):
            self._deadlines.popleft()
        return self._deadlines[0].deadline if self._deadlines else None

    def _is_open(self, one: Assigned) -> bool:
        return self._by_task.get(one.waiting.task) is one

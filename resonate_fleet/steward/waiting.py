"""The queue of waiting tasks of one group: first come, first served. Pure.

A group with a policy has another one (`steward.fair`).
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Optional, Protocol

#: Says whether the member that is served may begin one more of a function.
May = Callable[[str], bool]


@dataclass(slots=True, eq=False)
class Waiting:
    """A claimable task. Times in Unix seconds.

    `since`: since when it waits, its turn. `heard_at`: when it was last heard of. `needs`: its
    function, where that is known. `queue` and `subqueue`: where it waits, None while it is paused.
    `dropped`: it waits no more; whatever still holds it passes it over.
    """

    task: str
    version: int
    since: float
    heard_at: float
    needs: str = ""
    queue: Optional["Queue"] = None
    subqueue: Optional["ByAge"] = None
    dropped: bool = False


def order(waiting: Waiting) -> tuple[float, int, str]:
    """Return what a task goes by: since when it waits, then its id, the shorter one first.

    So `order-9` goes before `order-10` where both became claimable at once.
    """
    return waiting.since, len(waiting.task), waiting.task


class SetAside(NamedTuple):
    """How many tasks were set aside because they need one function, and the first of them."""

    size: int
    first: Waiting


class Queue(Protocol):
    """What the matcher asks of a queue.

    When a task is next and the member may not begin its function, the queue sets aside all tasks of
    that function, until a member comes that may.
    """

    def add(self, waiting: Waiting) -> None:
        """Take `waiting` in, and note in it where it waits."""

    def take(self, now: float, may: May) -> Waiting | None:
        """Remove and return the next one that may start; None where none may."""

    def drop(self, waiting: Waiting) -> None:
        """Note that `waiting` waits no more."""

    def oldest(self) -> Waiting | None: ...

    def aside(self) -> dict[str, SetAside]:
        """Return what was set aside, by function."""
        ...

    def __len__(self) -> int: ...


class QueueLimits(Protocol):
    """What the matcher tells and asks a queue with limits besides."""

    def occupy(self, task: str) -> None:
        """Note that a task runs, whoever assigned it."""

    def vacate(self, task: str) -> None:
        """Note that a task runs no more, or was not claimed after all."""

    def unread(self) -> list[str]:
        """Return the running tasks whose attributes are not known."""
        ...

    def recount(self, task: str) -> None:
        """Count a running task by what is known of it now."""

    def wake_at(self) -> float | None:
        """Return when a task's time comes, or a rate allows the next start."""
        ...

    def why(self, now: float, task: str) -> str:
        """Return what a task waits for besides a slot, "" for nothing else."""
        ...

    def limited(self, now: float) -> dict[str, int]:
        """Return how many tasks wait for a limit or for their time, by that."""
        ...


class NoLimits:
    """The limits of a group without a policy."""

    def occupy(self, task: str) -> None: ...

    def vacate(self, task: str) -> None: ...

    def unread(self) -> list[str]:
        return []

    def recount(self, task: str) -> None: ...

    def wake_at(self) -> float | None:
        return None

    def why(self, _now: float, _task: str) -> str:
        return ""

    def limited(self, _now: float) -> dict[str, int]:
        return {}


class ByAge:
    """By `order`. Dropped ones leave when they come to the front."""

    def __init__(self) -> None:
        #: An arrival tells a task from the same one that was dropped.
        self._heap: list[tuple[tuple[float, int, str], int, Waiting]] = []
        self._arrivals = 0
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dropped

    def add(self, waiting: Waiting) -> None:
        waiting.subqueue = self
        self._arrivals += 1
        heapq.heappush(self._heap, (order(waiting), self._arrivals, waiting))

    def take(self) -> Waiting | None:
        first = self.oldest()
        if first is not None:
            heapq.heappop(self._heap)
        return first

    def drop(self, waiting: Waiting) -> None:
        waiting.dropped = True
        self._dropped += 1
        if 2 * self._dropped > len(self._heap):
            self._heap = [one for one in self._heap if not one[-1].dropped]
            heapq.heapify(self._heap)
            self._dropped = 0

    def oldest(self) -> Waiting | None:
        while self._heap and self._heap[0][-1].dropped:
            heapq.heappop(self._heap)
            self._dropped -= 1
        return self._heap[0][-1] if self._heap else None


class FirstCome:
    """First come, first served, of what the member may begin."""

    def __init__(self) -> None:
        self._all = ByAge()
        #: What was set aside, by function. All of it is older than what is left in `_all`.
        self._aside: dict[str, ByAge] = {}

    def __len__(self) -> int:
        aside = sum(map(len, self._aside.values())) if self._aside else 0
        return len(self._all) + aside

    def add(self, waiting: Waiting) -> None:
        waiting.queue = self
        self._all.add(waiting)

    def take(self, _now: float, may: May) -> Waiting | None:
        if self._aside and (first := self._first_aside(may)) is not None:
            return self._leave(first)
        while (first := self._all.take()) is not None:
            if not first.needs or may(first.needs):
                return first
            self._aside.setdefault(first.needs, ByAge()).add(first)
        return None

    def _leave(self, first: Waiting) -> Waiting:
        self._aside[first.needs].take()
        self._tidy()
        return first

    def _tidy(self) -> None:
        self._aside = {name: queue for name, queue in self._aside.items() if queue}

    def _first_aside(self, may: May) -> Waiting | None:
        firsts = (queue.oldest() for name, queue in self._aside.items() if may(name))
        return min(filter(None, firsts), key=order, default=None)

    def drop(self, waiting: Waiting) -> None:
        if waiting.subqueue is not None:
            waiting.subqueue.drop(waiting)
        if waiting.subqueue is not self._all:
            self._tidy()

    def oldest(self) -> Waiting | None:
        firsts = (queue.oldest() for queue in (self._all, *self._aside.values()))
        return min(filter(None, firsts), key=order, default=None)

    def aside(self) -> dict[str, SetAside]:
        found = ((name, len(queue), queue.oldest()) for name, queue in self._aside.items())
        return {name: SetAside(count, first) for name, count, first in found if first is not None}

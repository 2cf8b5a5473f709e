"""The queue of waiting tasks of one group: first come, first served. Pure.

A group with a policy has another one (`steward.fair`).
"""

import heapq
from dataclasses import dataclass
from typing import Optional, Protocol


@dataclass(slots=True, eq=False)
class Waiting:
    """A claimable task. Times in Unix seconds.

    Its turn counts from `since`; `heard` is when it was last heard of. `needs` names its function
    where that is known. `queue` is where it stands, None while it is paused. `gone`: it waits
    no more, and a queue that holds it is to pass it over.
    """

    task: str
    version: int
    since: float
    heard: float
    needs: str = ""
    queue: Optional["Queue"] = None
    gone: bool = False


class Queue(Protocol):
    """What the matcher asks of a queue."""

    def add(self, waiting: Waiting) -> None:
        """Take `waiting` in, and note in it where it stands."""

    def take(self, now: float) -> Waiting | None:
        """Return whose turn it is, and let it go; None where nobody's is."""

    def drop(self, waiting: Waiting) -> None:
        """Note that `waiting` is gone."""

    def oldest(self) -> Waiting | None: ...

    def __len__(self) -> int: ...


class QueueLimits(Protocol):
    """What a queue with limits is told and asked besides."""

    def holds(self, task: str) -> None:
        """Note that a task runs, whoever handed it out."""

    def frees(self, task: str) -> None:
        """Note that a task runs no more, or was not claimed after all."""

    def unlabelled(self) -> list[str]:
        """Return what runs and of which it is not known yet where it stands."""
        ...

    def relabel(self, task: str) -> None:
        """Count a task that runs by what is known of it now."""

    def admits(self, now: float, task: str) -> bool:
        """Say whether a task that was set aside may start now; if so it counts as started."""
        ...

    def wake_at(self) -> float | None:
        """Return when a task's time comes, or a limit has room again."""
        ...

    def why(self, now: float, task: str) -> str:
        """Return what a task waits for besides a slot, "" where it is only that."""
        ...

    def blocked(self, now: float) -> dict[str, int]:
        """Return how many tasks wait for something else than a slot, by what it is."""
        ...


class NoLimits:
    """The limits of a group without a policy."""

    def holds(self, task: str) -> None: ...

    def frees(self, task: str) -> None: ...

    def unlabelled(self) -> list[str]:
        return []

    def relabel(self, task: str) -> None: ...

    def admits(self, _now: float, _task: str) -> bool:
        return True

    def wake_at(self) -> float | None:
        return None

    def why(self, _now: float, _task: str) -> str:
        return ""

    def blocked(self, _now: float) -> dict[str, int]:
        return {}


class FirstCome:
    """By (since, order of arrival). Those that are gone leave when they come to the front."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Waiting]] = []
        self._arrivals = 0
        self._gone = 0

    def __len__(self) -> int:
        return len(self._heap) - self._gone

    def add(self, waiting: Waiting) -> None:
        waiting.queue = self
        self._arrivals += 1
        heapq.heappush(self._heap, (waiting.since, self._arrivals, waiting))

    def take(self, now: float) -> Waiting | None:  # noqa: ARG002 - for queues that look at the time
        first = self.oldest()
        if first is not None:
            heapq.heappop(self._heap)
        return first

    def drop(self, waiting: Waiting) -> None:
        waiting.gone = True
        self._gone += 1
        if 2 * self._gone > len(self._heap):
            self._heap = [one for one in self._heap if not one[2].gone]
            heapq.heapify(self._heap)
            self._gone = 0

    def oldest(self) -> Waiting | None:
        while self._heap and self._heap[0][2].gone:
            heapq.heappop(self._heap)
            self._gone -= 1
        return self._heap[0][2] if self._heap else None

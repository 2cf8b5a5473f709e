"""Waiting jobs, and their subqueues by function, priority and key. Pure."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Optional

from resonate_fleet.steward.limits import Key, Limiter
from resonate_fleet.steward.policy import NO_ATTRIBUTES, Attributes

#: Says whether the member that is served may begin one more of a function.
May = Callable[[str], bool]


@dataclass(slots=True, eq=False)
class Waiting:
    """A claimable task. Times in Unix seconds.

    `since`: since when it waits, its turn. `heard_at`: when it was last heard of. `needs`: its
    function, where that is known. `pauses_until`: a member gave it back. `subqueue`: where it
    waits, None before its time. `dropped`: it waits no more; heaps that still hold it pass it over.
    """

    task: str
    version: int
    since: float
    heard_at: float
    needs: str = ""
    pauses_until: float = 0.0
    attributes: Attributes = NO_ATTRIBUTES
    subqueue: Optional["Subqueue"] = None
    dropped: bool = False

    @property
    def time(self) -> float:
        """When it may start."""
        return max(self.attributes.not_before, self.pauses_until)


def order(waiting: Waiting) -> tuple[float, int, str]:
    """Return what a task goes by: since when it waits, then its id, the shorter one first.

    So `order-9` goes before `order-10` where both became claimable at once.
    """
    return waiting.since, len(waiting.task), waiting.task


class Subqueue:
    """The jobs of one key in one level, by `order`; an empty one is removed."""

    def __init__(self, key: Key, level: "Level") -> None:
        self.key = key
        self.level = level
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

    def take(self) -> Waiting:
        first = self.first()
        heapq.heappop(self._heap)
        return first

    def drop(self) -> None:
        """Note that one more of its jobs is dropped."""
        self._dropped += 1
        if 2 * self._dropped > len(self._heap):
            self._heap = [one for one in self._heap if not one[-1].dropped]
            heapq.heapify(self._heap)
            self._dropped = 0

    def first(self) -> Waiting:
        while self._heap[0][-1].dropped:
            heapq.heappop(self._heap)
            self._dropped -= 1
        return self._heap[0][-1]

    def may_start(self, now: float, may: May) -> bool:
        """Say whether its key has a permit and the member may begin its first job."""
        needs = self.first().needs
        return (not needs or may(needs)) and not self.key.blocks(now)


class KeyHeap:
    """Keys by a value, the least first; keys without a value are left out.

    It is lazy: an outdated entry is corrected when it is the first.
    """

    def __init__(self, value: Callable[[Key], float | None]) -> None:
        self._value = value
        self._heap: list[tuple[float, int, Key]] = []
        self._noted: dict[Key, float] = {}
        self._numbers = count()

    def note(self, key: Key) -> None:
        """Take in a value that may be less than before."""
        value = self._value(key)
        if value is not None and self._noted.get(key) != value:
            self._noted[key] = value
            heapq.heappush(self._heap, (value, next(self._numbers), key))

    def first(self) -> Key | None:
        while self._heap:
            value, _, key = self._heap[0]
            if self._value(key) == value:
                return key
            heapq.heappop(self._heap)
            if self._noted.get(key) == value:
                del self._noted[key]
                self.note(key)
        return None


class Level:
    """One priority of one function: its keys by tag and by the age of their oldest job.

    Blocked keys are left out. `limiter` is that of a function with a limit; `needs` is the function
    whose jobs were set aside here.
    """

    def __init__(self, priority: int, limiter: Limiter | None, needs: str) -> None:
        self.priority = priority
        self.limiter = limiter
        self.needs = needs
        self.by_age = KeyHeap(self._age)
        self.by_tag = KeyHeap(self._tag)

    def _age(self, key: Key) -> float | None:
        subqueue = None if key.blocked else key.subqueues.get(self)
        return None if subqueue is None else subqueue.first().since

    def _tag(self, key: Key) -> float | None:
        return None if key.blocked or self not in key.subqueues else key.tag

    def note(self, key: Key) -> None:
        """Take in what has changed of a key: its oldest job, its tag, whether it is blocked."""
        self.by_age.note(key)
        self.by_tag.note(key)

    def is_open(self, now: float, may: May) -> bool:
        if self.needs and not may(self.needs):
            return False
        return self.limiter is None or not self.limiter.blocks(now)

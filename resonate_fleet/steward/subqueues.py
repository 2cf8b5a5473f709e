"""The subqueues of a group with a policy, by function, priority and key. Pure."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from resonate_fleet.steward.limits import Limiter
from resonate_fleet.steward.policy import Attributes
from resonate_fleet.steward.waiting import ByAge, May, Waiting, order


@dataclass(eq=False)
class Key:
    """A key of a policy. `tag`: the virtual time of its next start. `queues`: those of its jobs."""

    name: str
    limiter: Limiter
    tag: float = 0.0
    blocked: bool = False
    queues: dict["Level", "KeyQueue"] = field(default_factory=dict)


class KeyQueue(ByAge):
    """The jobs of one key in one level; an empty one is removed."""

    def __init__(self, key: Key, part: "FunctionPart", level: "Level") -> None:
        super().__init__()
        self.key = key
        self.part = part
        self.level = level

    def may_start(self, now: float, may: May) -> bool:
        """Say whether its key has a permit and the member may begin its first job."""
        first = self.oldest()
        may_begin = first is None or not first.needs or may(first.needs)
        return may_begin and not self.key.limiter.blocks(now)


class Level:
    """One priority of one part: its keys by tag and by the age of their oldest job.

    Both heaps are lazy: an outdated entry is mended when it comes to the top.
    """

    def __init__(self, numbers: "count[int]") -> None:
        self._numbers = numbers
        self._tags: list[tuple[float, int, Key]] = []
        self._tagged: set[Key] = set()
        self._ages: list[tuple[float, int, Key]] = []
        self._age_of: dict[Key, float] = {}

    def note(self, key: Key) -> None:
        """Take in what has changed of a key: its oldest job, its tag, whether it is blocked."""
        first = self._first(key)
        if first is None:
            return
        if key not in self._tagged:
            self._tagged.add(key)
            heapq.heappush(self._tags, (key.tag, next(self._numbers), key))
        if self._age_of.get(key) != first.since:
            self._age_of[key] = first.since
            heapq.heappush(self._ages, (first.since, next(self._numbers), key))

    def oldest(self) -> tuple[float, Key] | None:
        """Return since when the oldest job waits, and its key. Blocked keys are left out."""
        while self._ages:
            since, _, key = self._ages[0]
            first = self._first(key)
            if first is not None and first.since == since:
                return since, key
            heapq.heappop(self._ages)
            if self._age_of.get(key) == since:
                del self._age_of[key]
                self.note(key)
        return None

    def next_key(self) -> Key | None:
        """Return the key with the least tag. Blocked keys are left out."""
        while self._tags:
            tag, number, key = self._tags[0]
            if self._first(key) is None:
                heapq.heappop(self._tags)
                self._tagged.discard(key)
            elif key.tag > tag:
                heapq.heapreplace(self._tags, (key.tag, number, key))
            else:
                return key
        return None

    def _first(self, key: Key) -> Waiting | None:
        return None if key.blocked or self not in key.queues else key.queues[self].oldest()


@dataclass(eq=False)
class FunctionPart:
    """The levels of one function, by priority.

    `function` and `limiter` are set for a function with a limit; `needs` is the function whose
    jobs were set aside here.
    """

    function: str
    limiter: Limiter | None
    needs: str
    levels: dict[int, Level] = field(default_factory=dict)

    def is_open(self, now: float, may: May) -> bool:
        if self.needs and not may(self.needs):
            return False
        return self.limiter is None or not self.limiter.blocks(now)


class Subqueues:
    """A part for each function that has a limit or was set aside, and one for all others."""

    def __init__(self, ageing: float, limiters: Mapping[str, Limiter]) -> None:
        self._ageing = ageing
        self._limiters = limiters
        #: By `function` and `needs` of the part.
        self._parts: dict[tuple[str, str], FunctionPart] = {}
        #: How many wait of each function that was set aside.
        self._aside: Counter[str] = Counter()
        self._numbers = count()

    def enter(self, waiting: Waiting, key: Key, attributes: Attributes) -> None:
        queue = self._queue_of(key, attributes, waiting.needs)
        queue.add(waiting)
        if queue.part.needs:
            self._aside[queue.part.needs] += 1
        queue.level.note(key)

    def _queue_of(self, key: Key, attributes: Attributes, needs: str) -> KeyQueue:
        function = attributes.function if attributes.function in self._limiters else ""
        needs = needs if needs in self._aside else ""
        part = self._parts.get((function, needs))
        if part is None:
            part = FunctionPart(function, self._limiters.get(function), needs)
            self._parts[function, needs] = part
        level = part.levels.get(attributes.priority)
        if level is None:
            level = part.levels[attributes.priority] = Level(self._numbers)
        if level not in key.queues:
            key.queues[level] = KeyQueue(key, part, level)
        return key.queues[level]

    def left(self, queue: KeyQueue) -> None:
        """Note that a job has left its queue."""
        if not queue:
            del queue.key.queues[queue.level]
        queue.level.note(queue.key)
        needs = queue.part.needs
        if needs:
            self._aside[needs] -= 1
            if not self._aside[needs]:
                del self._aside[needs]
                self._parts = {name: one for name, one in self._parts.items() if name[1] != needs}

    def set_aside(self, queue: KeyQueue, known: Mapping[str, Attributes]) -> None:
        """Set the first job of a queue aside, and later ones that need the same function."""
        first = queue.take()
        assert first is not None  # noqa: S101 - there is no queue without jobs
        self.left(queue)
        self._aside[first.needs] += 0
        self.enter(first, queue.key, known[first.task])

    def next(self, now: float, may: May) -> KeyQueue | None:
        """Return the queue to serve next, or one that must not be served now (`may_start` tells).

        For the second the caller blocks its key or sets its first job aside before it calls again;
        else the age of that job would still count for its priority.
        """
        urgent: dict[int, float] = {}
        levels: defaultdict[int, list[Level]] = defaultdict(list)
        for part in self._parts.values():
            for priority, level in part.levels.items() if part.is_open(now, may) else ():
                if (found := level.oldest()) is None:
                    continue
                oldest, eldest = found
                if not eldest.queues[level].may_start(now, may):
                    return eldest.queues[level]
                counts = oldest + (priority - 1) * self._ageing
                urgent[priority] = min(counts, urgent.get(priority, counts))
                levels[priority].append(level)
        if not urgent:
            return None
        first = min(urgent, key=lambda priority: (urgent[priority], priority))
        keys = ((level, level.next_key()) for level in levels[first])
        queues = [key.queues[level] for level, key in keys if key is not None]
        return min(queues, key=_tag_and_age, default=None)

    def permits_at(self, now: float) -> Iterator[float]:
        """Yield when each function whose rate blocks it now may start again."""
        for limiter in {part.limiter for part in self._parts.values() if part.limiter}:
            if (at := limiter.permit_at(now)) and at > now:
                yield at


def _tag_and_age(queue: KeyQueue) -> tuple[float, tuple[float, int, str]]:
    first = queue.oldest()
    assert first is not None  # noqa: S101 - a key has no queues without jobs
    return queue.key.tag, order(first)

"""The queue of a group with a policy: priorities, fair shares, limits, not-before. Pure.

A job may start when its not-before has come and no limit of its key or function blocks it. Of
those that may start, the next one is found in three steps:

1. The priority. A job of priority p counts as (p - 1) times `ageing` seconds younger than it is.
   The priority with the oldest job by that count goes first.
2. In that priority, the key that has had the least by weight: start-time fair queueing (Goyal,
   Vin, Cheng 1996). A start costs a key 1 / weight of virtual time. A key that comes back, or that
   was blocked, goes on from the present virtual time: it saves nothing up.
3. Of that key, the job that waits longest.

A function with a limit has a subqueue of its own. While the limit blocks it, none of its jobs is
looked at.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import count

from resonate_fleet.steward.limits import Limits, waits_for
from resonate_fleet.steward.policy import Attributes, GroupPolicy
from resonate_fleet.steward.subqueues import Key, KeyQueue, Subqueues
from resonate_fleet.steward.waiting import May, SetAside, Waiting, order


class FairQueue:
    """A `Queue` by a policy. `attributes` returns those of a task, None while they are not known.

    While those of a running task are not known nothing starts, for `UNREAD_SECONDS` at most.
    """

    def __init__(self, policy: GroupPolicy, attributes: Callable[[str], Attributes | None]) -> None:
        self._attributes = attributes
        self._numbers = count()
        self._limits = Limits(policy)
        self._subqueues = Subqueues(policy.ageing, self._limits.functions)
        self._keys: dict[str, Key] = {}
        self._virtual = 0.0
        #: The largest tag that any key has had.
        self._furthest = 0.0
        #: Keys without waiting jobs. Whoever submits makes up keys, so they must be forgotten.
        self._resting: deque[Key] = deque()
        self._now = 0.0
        #: Attributes of the tasks that wait.
        self._known: dict[str, Attributes] = {}
        self._later: list[tuple[float, int, Waiting]] = []
        #: Keys whose rate blocks them, by the time at which it does no more.
        self._recovering: list[tuple[float, int, Key]] = []

    def __len__(self) -> int:
        return len(self._known)

    # What waits.

    def add(self, waiting: Waiting) -> None:
        waiting.queue, waiting.subqueue = self, None
        attributes = self._known[waiting.task] = self._attributes(waiting.task) or Attributes()
        if attributes.not_before > waiting.since:
            heapq.heappush(self._later, (attributes.not_before, next(self._numbers), waiting))
        else:
            self._enter(waiting, attributes)

    def drop(self, waiting: Waiting) -> None:
        del self._known[waiting.task]
        if not isinstance(waiting.subqueue, KeyQueue):  # its time has not come
            waiting.dropped = True
            return
        waiting.subqueue.drop(waiting)
        self._subqueues.left(waiting.subqueue)

    def oldest(self) -> Waiting | None:
        """Return the one that waits longest, whether it may start or not."""
        firsts = (queue.oldest() for queue in self._queues())
        return min(filter(None, firsts), key=order, default=None)

    def aside(self) -> dict[str, SetAside]:
        found: dict[str, SetAside] = {}
        for queue in self._queues():
            first, needs = queue.oldest(), queue.part.needs
            if needs and first is not None:
                one = found.get(needs, SetAside(0, first))
                earlier = min(first, one.first, key=order)
                found[needs] = SetAside(one.size + len(queue), earlier)
        return found

    def _queues(self) -> Iterator[KeyQueue]:
        for key in self._keys.values():
            yield from key.queues.values()

    def _enter(self, waiting: Waiting, attributes: Attributes) -> None:
        key = self._key(attributes.key)
        if not key.queues:
            key.tag = max(key.tag, self._virtual)
        waiting.since = max(waiting.since, attributes.not_before)
        self._subqueues.enter(waiting, key, attributes)

    def _key(self, name: str) -> Key:
        if name not in self._keys:
            self._keys[name] = Key(name, self._limits.key(name))
        return self._keys[name]

    # What is next.

    def take(self, now: float, may: May) -> Waiting | None:
        self._wake(now)
        if self._limits.holds_back(now):
            return None
        while (queue := self._subqueues.next(now, may)) is not None:
            if queue.may_start(now, may):
                return self._start(now, queue)
            if queue.key.limiter.blocks(now):
                self._block(queue.key, queue.key.limiter.permit_at(now))
            else:
                self._subqueues.set_aside(queue, self._known)
        return None

    def wake_at(self) -> float | None:
        """Return when a job's time comes, or a rate has recovered."""
        times = [heap[0][0] for heap in (self._later, self._recovering) if heap]
        if (until := self._limits.waits_until) is not None and until > self._now:
            times.append(until)
        return min([*times, *self._subqueues.permits_at(self._now)], default=None)

    def _start(self, now: float, queue: KeyQueue) -> Waiting:
        waiting, key = queue.take(), queue.key
        assert waiting is not None  # noqa: S101 - there is no queue without jobs
        self._virtual = max(self._virtual, key.tag)
        key.tag += 1 / key.limiter.limit.weight
        self._furthest = max(self._furthest, key.tag)
        self._subqueues.left(queue)
        self._limits.start(now, waiting.task, self._known.pop(waiting.task))
        if not self._known:  # nobody competes: what keys have had counts no more
            self._virtual = self._furthest
        if not key.queues:
            self._resting.append(key)
            for _ in range(min(2, len(self._resting))):  # so that they get fewer
                self._tidy(now, self._resting.popleft())
        return waiting

    def _tidy(self, now: float, key: Key) -> None:
        """Forget a resting key that would be the same when made anew; else let it rest on."""
        if key.queues or self._keys.get(key.name) is not key:
            return
        if key.tag <= self._virtual and key.limiter.is_unused(now):
            del self._keys[key.name]
            self._limits.forget(key.name)
        else:
            self._resting.append(key)

    # Limits.

    def occupy(self, task: str) -> None:
        """Note that a task runs or is about to, whoever assigned it."""
        if not self._limits.counts(task):
            self._limits.occupy(task, self._known.get(task) or self._attributes(task))

    def vacate(self, task: str) -> None:
        """Note that a task runs no more, or was not claimed after all."""
        attributes = self._limits.vacate(task)
        if attributes is not None and attributes.key in self._keys:
            self._unblock(self._keys[attributes.key])

    def unread(self) -> list[str]:
        return self._limits.unread()

    def recount(self, task: str) -> None:
        """Count a running task by what is known of it now, even if that is still nothing."""
        if self._limits.counts(task):
            self.vacate(task)
            self._limits.occupy(task, self._attributes_of(task))

    def _attributes_of(self, task: str) -> Attributes:
        return self._known.get(task) or self._attributes(task) or Attributes()

    def _block(self, key: Key, until: float | None) -> None:
        key.blocked = True
        if until is not None:
            heapq.heappush(self._recovering, (until, next(self._numbers), key))

    def _unblock(self, key: Key) -> None:
        if key.blocked:
            key.blocked = False
            key.tag = max(key.tag, self._virtual)
            for level in key.queues:
                level.note(key)

    def _wake(self, now: float) -> None:
        self._now = now
        while self._recovering and self._recovering[0][0] <= now:
            self._unblock(heapq.heappop(self._recovering)[2])
        while self._later and self._later[0][0] <= now:
            waiting = heapq.heappop(self._later)[2]
            if not waiting.dropped:
                self._enter(waiting, self._known[waiting.task])

    # What is shown.

    def why(self, now: float, task: str) -> str:
        """Return what a waiting task waits for besides a slot, "" for nothing else."""
        return self._limits.why(now, self._attributes_of(task))

    def limited(self, now: float) -> dict[str, int]:
        """Return how many tasks wait, by the limit or time that they wait for."""
        waits = Counter[str]()
        for queue in self._queues():
            key, part = queue.key, queue.part
            if part.limiter is not None and part.limiter.blocks(now):
                waits[waits_for("function", part.function, part.limiter)] += len(queue)
            elif key.limiter.blocks(now):
                waits[waits_for("key", key.name, key.limiter)] += len(queue)
        if later := sum(not waiting.dropped for _, _, waiting in self._later):
            waits["waits for its time"] = later
        return dict(waits)

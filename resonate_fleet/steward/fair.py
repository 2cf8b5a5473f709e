"""The queue of a group: priorities, fair shares, limits, not-before. Pure.

A job may start when its not-before has come and no limit of its key or function blocks it. Of
those that may start, the next one is found in three steps:

1. The priority. A job of priority p counts as (p - 1) times `ageing` seconds younger than it is.
   The priority with the oldest job by that count goes first.
2. In that priority, the key that has had the least by weight: start-time fair queueing (Goyal,
   Vin, Cheng 1996). A start costs a key 1 / weight of virtual time. A key that comes back, or that
   was blocked, goes on from the present virtual time: it saves nothing up.
3. Of that key, the job that waits longest.

Without a policy all jobs are of one priority and one key: first come, first served.

A function with a limit has subqueues of its own. While the limit blocks it, none of its jobs is
looked at. When a job is next and the member may not begin its function, all jobs of that function
are set aside, until a member comes that may.
"""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from itertools import count

from resonate_fleet.steward.limits import Key, Limiter, Limits
from resonate_fleet.steward.policy import NO_ATTRIBUTES, Attributes, GroupPolicy
from resonate_fleet.steward.subqueues import Level, May, Subqueue, Waiting, order


class FairQueue:
    """The queue of one group. `attributes` returns a task's, None while they are not known.

    While those of a running task are not known nothing starts, for `UNREAD_SECONDS` at most.
    What starts counts for the limits until `Limits.vacate`.
    """

    def __init__(
        self,
        policy: GroupPolicy | None = None,
        attributes: Callable[[str], Attributes | None] = lambda _: NO_ATTRIBUTES,
    ) -> None:
        self.policy = policy
        self.limits = Limits(policy or GroupPolicy(), attributes)
        self.waiting: dict[str, Waiting] = {}
        self._numbers = count()
        self._levels: dict[tuple[int, Limiter | None, str], Level] = {}
        #: How many jobs were set aside, by function.
        self.aside: Counter[str] = Counter()
        self._virtual = 0.0
        #: The largest tag that any key has had.
        self._furthest = 0.0
        #: Keys without waiting jobs.
        self._resting: OrderedDict[Key, None] = OrderedDict()
        self._now = 0.0
        #: Jobs whose time has not come, by their time.
        self._later: list[tuple[float, int, Waiting]] = []
        #: Keys whose rate blocks them, by the time at which it does no more.
        self._recovering: list[tuple[float, int, Key]] = []

    # What waits.

    def add(self, waiting: Waiting) -> None:
        self.waiting[waiting.task] = waiting
        waiting.subqueue, waiting.dropped = None, False
        waiting.attributes = self.limits.attributes(waiting.task) or NO_ATTRIBUTES
        if waiting.time > waiting.since:
            heapq.heappush(self._later, (waiting.time, next(self._numbers), waiting))
        else:
            self._enter(waiting)

    def drop(self, waiting: Waiting) -> None:
        """Note that `waiting` waits no more."""
        del self.waiting[waiting.task]
        waiting.dropped = True
        if waiting.subqueue is not None:
            key = waiting.subqueue.key
            waiting.subqueue.drop()
            self._left(waiting.subqueue)
            if not key.subqueues:
                self._rest(key)

    def _enter(self, waiting: Waiting) -> None:
        key = self.limits.key(waiting.attributes.key)
        if not key.subqueues:
            key.tag = max(key.tag, self._virtual)
        waiting.since = max(waiting.since, waiting.attributes.not_before)
        self._insert(waiting, key)

    def _insert(self, waiting: Waiting, key: Key) -> None:
        attributes = waiting.attributes
        needs = waiting.needs if waiting.needs in self.aside else ""
        place = attributes.priority, self.limits.functions.get(attributes.function), needs
        level = self._levels.get(place)
        if level is None:
            level = self._levels[place] = Level(*place)
        if level not in key.subqueues:
            key.subqueues[level] = Subqueue(key, level)
        key.subqueues[level].add(waiting)
        if needs:
            self.aside[needs] += 1
        level.note(key)

    def _left(self, subqueue: Subqueue) -> None:
        """Note that a job has left its subqueue."""
        if not subqueue:
            del subqueue.key.subqueues[subqueue.level]
        subqueue.level.note(subqueue.key)
        needs = subqueue.level.needs
        if needs:
            self.aside[needs] -= 1
            if not self.aside[needs]:
                del self.aside[needs]
                self._levels = {at: one for at, one in self._levels.items() if one.needs != needs}

    # What is next.

    def wake(self, now: float) -> None:
        """Take in what has changed by time, or by what runs no more. To be called before `take`."""
        self._now = now
        for key in self.limits.freed:
            self._unblock(key)
            if not key.subqueues:
                self._rest(key)
        self.limits.freed.clear()
        while self._recovering and self._recovering[0][0] <= now:
            self._unblock(heapq.heappop(self._recovering)[2])
        while self._later and self._later[0][0] <= now:
            waiting = heapq.heappop(self._later)[2]
            if not waiting.dropped:
                self._enter(waiting)

    def wake_at(self) -> float | None:
        """Return when a job's time comes, or a limit allows the next start."""
        times = [heap[0][0] for heap in (self._later, self._recovering) if heap]
        permits = [one.permit_at(self._now) for one in self.limits.functions.values()]
        times += [at for at in (self.limits.waits_until, *permits) if at and at > self._now]
        return min(times, default=None)

    def take(self, now: float, may: May) -> Waiting | None:
        """Remove and return the next job that may start; None where none may."""
        if self.limits.holds_back(now):
            return None
        while (subqueue := self._next(now, may)) is not None:
            if subqueue.may_start(now, may):
                return self._start(now, subqueue)
            if not subqueue.key.blocks(now):
                self._set_aside(subqueue)
                continue
            subqueue.key.blocked = True
            if (until := subqueue.key.permit_at(now)) is not None:
                heapq.heappush(self._recovering, (until, next(self._numbers), subqueue.key))
        return None

    def _next(self, now: float, may: May) -> Subqueue | None:
        """Return the subqueue that is next, or one that must not be served now (`may_start` tells).

        For the second the caller blocks its key or sets its first job aside before it calls again;
        else the age of that job would still count for its priority.
        """
        found: list[tuple[float, int, Level]] = []
        for level in self._levels.values():
            if not level.is_open(now, may) or (eldest := level.by_age.first()) is None:
                continue
            subqueue = eldest.subqueues[level]
            if not subqueue.may_start(now, may):
                return subqueue
            counts = subqueue.first().since + (level.priority - 1) * self.limits.policy.ageing
            found.append((counts, level.priority, level))
        if not found:
            return None
        _, first, _ = min(found, key=lambda one: one[:2])
        keys = [(level, level.by_tag.first()) for _, priority, level in found if priority == first]
        subqueues = [key.subqueues[level] for level, key in keys if key is not None]
        return min(subqueues, key=lambda subqueue: (subqueue.key.tag, order(subqueue.first())))

    def _set_aside(self, subqueue: Subqueue) -> None:
        """Set the first job of a subqueue aside. Jobs that arrive for its function follow it."""
        first = subqueue.take()
        self.aside[first.needs] += 0  # `_insert` looks here
        self._insert(first, subqueue.key)
        self._left(subqueue)

    def _start(self, now: float, subqueue: Subqueue) -> Waiting:
        waiting, key = subqueue.take(), subqueue.key
        self._virtual = max(self._virtual, key.tag)
        key.tag += 1 / key.limit.weight
        self._furthest = max(self._furthest, key.tag)
        self.limits.start(now, waiting.task, waiting.attributes)
        del self.waiting[waiting.task]
        if not self.waiting:  # no key competes: what each has had no longer counts
            self._virtual = self._furthest
        self._left(subqueue)
        return waiting

    def _rest(self, key: Key) -> None:
        """Forget resting keys that would be the same when made anew; let the others rest on."""
        self._resting[key] = None
        for _ in range(min(2, len(self._resting))):  # so that they get fewer
            one, _ = self._resting.popitem(last=False)
            if one.subqueues or self.limits.keys.get(one.name) is not one:
                continue
            if one.tag <= self._virtual and one.is_unused(self._now):
                del self.limits.keys[one.name]
            else:
                self._resting[one] = None

    def _unblock(self, key: Key) -> None:
        if key.blocked:
            key.blocked = False
            key.tag = max(key.tag, self._virtual)
            for level in key.subqueues:
                level.note(key)

    # What is shown.

    def oldest(self, needs: str = "") -> Waiting | None:
        """Return the one that waits longest, of all or of those set aside that need a function."""
        firsts = (one.first() for one in self._subqueues() if not needs or one.level.needs == needs)
        return min(firsts, key=order, default=None)

    def _subqueues(self) -> Iterator[Subqueue]:
        for key in self.limits.keys.values():
            yield from key.subqueues.values()

    def why(self, now: float, waiting: Waiting) -> str:
        """Return what a waiting task waits for besides a slot, "" for nothing else."""
        if waiting.time > now:
            return f"waits for its time: {waiting.time - now:.0f} s"
        return self.limits.why(now, waiting.attributes)

    def limited(self, now: float) -> dict[str, int]:
        """Return how many tasks wait for a limit or for their time, by what it is."""
        waits = Counter[str]()
        for subqueue in self._subqueues():
            limiters = subqueue.level.limiter, subqueue.key
            if why := next((one.why() for one in limiters if one and one.blocks(now)), ""):
                waits[why] += len(subqueue)
        if later := sum(not waiting.dropped for _, _, waiting in self._later):
            waits["waits for its time"] = later
        return dict(waits)

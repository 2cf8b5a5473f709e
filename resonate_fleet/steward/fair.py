"""The queue of a group with a policy: priorities, fair shares, limits, not-before. Pure.

Whose turn it is, of those whose limits have room and whose time has come:

1. The priority whose oldest job is the most urgent. A job of priority p counts as if it had come
   (p - 1) times `ageing` seconds later. So a priority is never passed over for one whose oldest
   job came more than that later than its own. Within a priority keys take turns.
2. In that priority the key that has had the least, by weight: start-time fair queueing (Goyal,
   Vin, Cheng 1996). A start costs a key 1 / weight of virtual time; a key that comes back, or that
   had no room, goes on from the present virtual time and saves nothing up.
3. Of that key the job that waits longest.

A function with a limit has a lane of its own, so that one without room costs no search.
"""

import heapq
from collections.abc import Callable
from itertools import count

from resonate_fleet.steward.lanes import Key, Lanes, Level
from resonate_fleet.steward.limits import Limits, waits_for
from resonate_fleet.steward.policy import GroupPolicy, Labels
from resonate_fleet.steward.waiting import FirstCome, Waiting


class FairQueue:
    """A `Queue` by a policy; `labels` tells of a task where it stands, None where nobody knows.

    While it is not known of one that runs, nobody's turn comes, for `LABELS_WAIT` at most.
    """

    def __init__(self, policy: GroupPolicy, labels: Callable[[str], Labels | None]) -> None:
        self._labels = labels
        self._numbers = count()
        self._limits = Limits(policy)
        self._lanes = Lanes(policy.ageing, self._limits.functions)
        self._keys: dict[str, Key] = {}
        self._virtual = 0.0
        self._now = 0.0
        #: Where those stand that wait.
        self._known: dict[str, Labels] = {}
        #: In what those stand whose time has come.
        self._standing: dict[str, FirstCome] = {}
        self._later: list[tuple[float, int, Waiting]] = []
        #: Keys whose rate has to recover first, by when it has.
        self._recovering: list[tuple[float, int, Key]] = []

    def __len__(self) -> int:
        return len(self._known)

    # What waits.

    def add(self, waiting: Waiting) -> None:
        waiting.queue = self
        labels = self._known[waiting.task] = self._labels(waiting.task) or Labels()
        if labels.not_before > waiting.since:
            heapq.heappush(self._later, (labels.not_before, next(self._numbers), waiting))
        else:
            self._enter(waiting, labels)

    def drop(self, waiting: Waiting) -> None:
        labels = self._known.pop(waiting.task)
        place = self._standing.pop(waiting.task, None)
        if place is None:  # its time has not come
            waiting.gone = True
            return
        place.drop(waiting)
        self._left(self._keys[labels.key])

    def oldest(self) -> Waiting | None:
        """Return the one that waits longest, whether it has room or not."""
        places = (place for key in self._keys.values() for place in key.places.values())
        heads = [head for head in (place.oldest() for place in places) if head is not None]
        return min(heads, key=lambda one: one.since, default=None)

    def _enter(self, waiting: Waiting, labels: Labels) -> None:
        key, level = self._key(labels.key), self._lanes.level(labels)
        place = key.places.setdefault(level, FirstCome())
        if not key.waiting:
            key.tag = max(key.tag, self._virtual)
        key.waiting += 1
        waiting.since = max(waiting.since, labels.not_before)
        place.add(waiting)
        waiting.queue = self
        self._standing[waiting.task] = place
        level.note(key)

    def _left(self, key: Key) -> None:
        key.waiting -= 1
        if not key.waiting:
            key.places.clear()

    def _key(self, name: str) -> Key:
        if name not in self._keys:
            self._keys[name] = Key(name, self._limits.key(name))
        return self._keys[name]

    # Whose turn it is.

    def take(self, now: float) -> Waiting | None:
        self._wake(now)
        if self._limits.waits(now):
            return None
        while (found := self._lanes.next(now)) is not None:
            key, level = found
            opens = key.room.opens(now)
            if opens is not None and opens <= now:
                return self._start(now, key, level)
            self._shut(key, opens)
        return None

    def wake_at(self) -> float | None:
        """Return when a job's time comes, or a rate has recovered."""
        times = [heap[0][0] for heap in (self._later, self._recovering) if heap]
        if (until := self._limits.waits_until) is not None and until > self._now:
            times.append(until)
        return min([*times, *self._lanes.open_at(self._now)], default=None)

    def _start(self, now: float, key: Key, level: Level) -> Waiting | None:
        waiting = key.places[level].take(now)
        assert waiting is not None  # noqa: S101 - its level has just shown it
        self._virtual = max(self._virtual, key.tag)
        key.tag += 1 / key.room.limit.weight
        del self._standing[waiting.task]
        self._left(key)
        level.note(key)
        self._limits.start(now, waiting.task, self._known.pop(waiting.task))
        return waiting

    # Limits.

    def holds(self, task: str) -> None:
        """Note that a task runs or is about to, whoever handed it out."""
        if not self._limits.holds(task):
            self._limits.hold(task, self._known.get(task) or self._labels(task))

    def frees(self, task: str) -> None:
        """Note that a task runs no more, or was not claimed after all."""
        labels = self._limits.free(task)
        if labels is not None and labels.key in self._keys:
            self._open(self._keys[labels.key])

    def unlabelled(self) -> list[str]:
        return self._limits.unlabelled()

    def relabel(self, task: str) -> None:
        """Count a task that runs by what is known of it now, be it still nothing."""
        if self._limits.holds(task):
            self.frees(task)
            self._limits.hold(task, self._labels_of(task))

    def admits(self, now: float, task: str) -> bool:
        """Say whether a task that was set aside may start now; if so it counts as started."""
        labels = self._labels_of(task)
        if self._limits.waits(now) or not self._limits.has_room(now, labels):
            return False
        self._limits.start(now, task, labels)
        return True

    def _labels_of(self, task: str) -> Labels:
        return self._known.get(task) or self._labels(task) or Labels()

    def _shut(self, key: Key, opens: float | None) -> None:
        key.shut = True
        if opens is not None:
            heapq.heappush(self._recovering, (opens, next(self._numbers), key))

    def _open(self, key: Key) -> None:
        if key.shut:
            key.shut = False
            key.tag = max(key.tag, self._virtual)
            for level in key.places:
                level.note(key)

    def _wake(self, now: float) -> None:
        self._now = now
        while self._recovering and self._recovering[0][0] <= now:
            self._open(heapq.heappop(self._recovering)[2])
        while self._later and self._later[0][0] <= now:
            waiting = heapq.heappop(self._later)[2]
            if not waiting.gone:
                self._enter(waiting, self._known[waiting.task])

    # What is told.

    def why(self, now: float, task: str) -> str:
        """Return what a waiting task waits for besides a slot, "" where it is only that."""
        return self._limits.why(now, self._labels_of(task))

    def blocked(self, now: float) -> dict[str, int]:
        """Return how many tasks wait for a limit or a time, by what it is."""
        found = {
            waits_for("key", key.name, key.room): key.waiting
            for key in self._keys.values()
            if key.waiting and key.room.is_shut(now)
        }
        places = [place for key in self._keys.values() for place in key.places.items()]
        for name, room, levels in self._lanes.shut(now):
            if waiting := sum(len(queue) for level, queue in places if level in levels):
                found[waits_for("function", name, room)] = waiting
        later = sum(not waiting.gone for _, _, waiting in self._later)
        return {**found, "waits for its time": later} if later else found

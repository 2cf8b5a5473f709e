"""Where the jobs of a group with a policy stand, by function, priority and key. Pure."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from resonate_fleet.steward.limits import Room
from resonate_fleet.steward.policy import Labels
from resonate_fleet.steward.waiting import FirstCome, Waiting


@dataclass(eq=False)
class Key:
    """A key of a policy. `tag`: the virtual time of its next start. `places`: of its jobs."""

    name: str
    room: Room
    tag: float = 0.0
    waiting: int = 0
    shut: bool = False
    places: dict["Level", FirstCome] = field(default_factory=dict)


class Level:
    """One priority of one lane: its keys by turn and by the age of their oldest job.

    Both heaps are lazy: an entry that is not true any more is put right when it comes to the top.
    """

    def __init__(self, numbers: "count[int]") -> None:
        self._numbers = numbers
        self._turns: list[tuple[float, int, Key]] = []
        self._turning: set[Key] = set()
        self._ages: list[tuple[float, int, Key]] = []
        self._age_of: dict[Key, float] = {}

    def note(self, key: Key) -> None:
        """Take in what has changed of a key: its oldest job, its tag, its room."""
        first = self._first(key)
        if first is None:
            return
        if key not in self._turning:
            self._turning.add(key)
            heapq.heappush(self._turns, (key.tag, next(self._numbers), key))
        if self._age_of.get(key) != first.since:
            self._age_of[key] = first.since
            heapq.heappush(self._ages, (first.since, next(self._numbers), key))

    def oldest(self) -> float | None:
        """Return since when the oldest job waits whose key has room."""
        while self._ages:
            since, _, key = self._ages[0]
            first = self._first(key)
            if first is not None and first.since == since:
                return since
            heapq.heappop(self._ages)
            if self._age_of.get(key) == since:
                del self._age_of[key]
                self.note(key)
        return None

    def turn(self) -> Key | None:
        """Return whose turn it is."""
        while self._turns:
            tag, number, key = self._turns[0]
            if self._first(key) is None:
                heapq.heappop(self._turns)
                self._turning.discard(key)
            elif key.tag > tag:
                heapq.heapreplace(self._turns, (key.tag, number, key))
            else:
                return key
        return None

    def _first(self, key: Key) -> Waiting | None:
        return None if key.shut or self not in key.places else key.places[self].oldest()


class Lanes:
    """A lane for each function with a limit, and one ("") for all the others."""

    def __init__(self, ageing: float, rooms: Mapping[str, Room]) -> None:
        self._ageing = ageing
        self._rooms = rooms
        self._lanes: dict[str, dict[int, Level]] = defaultdict(dict)
        self._numbers = count()

    def level(self, labels: Labels) -> Level:
        lane = self._lanes[labels.function if labels.function in self._rooms else ""]
        if labels.priority not in lane:
            lane[labels.priority] = Level(self._numbers)
        return lane[labels.priority]

    def next(self, now: float) -> tuple[Key, Level] | None:
        """Return the key whose turn it is, room or not, with where its job stands."""
        urgent: dict[int, float] = {}
        levels: dict[int, list[Level]] = defaultdict(list)
        for lane in self._open(now):
            for priority, level in lane.items():
                oldest = level.oldest()
                if oldest is not None:
                    counts = oldest + (priority - 1) * self._ageing
                    urgent[priority] = min(counts, urgent.get(priority, counts))
                    levels[priority].append(level)
        if not urgent:
            return None
        first = min(urgent, key=lambda priority: (urgent[priority], priority))
        turns = [(key, level) for level in levels[first] if (key := level.turn()) is not None]
        return min(turns, key=lambda turn: turn[0].tag, default=None)

    def _open(self, now: float) -> list[dict[int, Level]]:
        shut = {name for name, room in self._rooms.items() if room.is_shut(now)}
        return [lane for name, lane in self._lanes.items() if name not in shut]

    def open_at(self, now: float) -> list[float]:
        """Return when the rates of lanes have recovered that have none left now."""
        rooms = (room for name, room in self._rooms.items() if self._lanes.get(name))
        return [at for room in rooms if (at := room.opens(now)) and at > now]

    def shut(self, now: float) -> Iterator[tuple[str, Room, set[Level]]]:
        """Yield each function whose lane is shut, with its room and its levels."""
        for name, room in self._rooms.items():
            if room.is_shut(now):
                yield name, room, set(self._lanes[name].values())

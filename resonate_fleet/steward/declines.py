"""Tasks that members gave back, and how long they pause for it. Pure."""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from resonate_fleet.contract.backoff import doubled
from resonate_fleet.steward.waiting import Waiting

#: Pause of a task given back for another reason than its function: first, longest, seconds.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: Tasks whose declines are remembered.
REMEMBERED = 4096


@dataclass(slots=True)
class _Declined:
    """`needs`: the function that did not begin. `times`: how often there was another reason."""

    needs: str = ""
    times: int = 0


class Declines:
    """Declines by task, and the tasks that pause."""

    def __init__(self) -> None:
        self._notes: OrderedDict[str, _Declined] = OrderedDict()
        self._paused: list[tuple[float, int, Waiting]] = []

    def note(self, task: str, needs: str) -> None:
        note = self._notes.setdefault(task, _Declined())
        self._notes.move_to_end(task)
        note.needs = needs
        note.times += not needs
        while len(self._notes) > REMEMBERED:
            self._notes.popitem(last=False)

    def forget(self, task: str) -> None:
        self._notes.pop(task, None)

    def pauses(self, now: float, waiting: Waiting) -> bool:
        """Pause a task if it was declined so; return whether. Note the function that it needs."""
        note = self._notes.get(waiting.task)
        if note is None:
            return False
        waiting.needs = note.needs or waiting.needs
        if not note.times:
            return False
        pause = doubled(FIRST_PAUSE, note.times - 1, LONGEST_PAUSE)
        waiting.queue = None
        heapq.heappush(self._paused, (now + pause, id(waiting), waiting))
        return True

    def rested(self, now: float) -> Iterator[Waiting]:
        """Yield those whose pause is over, once each."""
        while self._paused and self._paused[0][0] <= now:
            waiting = heapq.heappop(self._paused)[2]
            if not waiting.dropped:
                yield waiting

    def wake_at(self) -> float | None:
        """Return when the next pause is over."""
        return self._paused[0][0] if self._paused else None

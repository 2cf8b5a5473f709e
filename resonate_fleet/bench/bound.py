"""The greedy bound: list scheduling in the order of submission, without any overhead. Pure."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A slot that there was from `start` to `end` (None: to the end), in seconds."""

    start: float = 0.0
    end: float | None = None


def makespan(costs: Sequence[float], slots: int) -> float:
    """Return when the last job ends if each, in order, goes to the slot that is free first.

    `costs` in seconds; all jobs are there at 0.
    """
    free = [0.0] * min(slots, max(1, len(costs)))
    for cost in costs:
        heapq.heapreplace(free, free[0] + cost)
    return max(free, default=0.0)


def makespan_of(costs: Sequence[float], spans: Sequence[Span]) -> float:
    """Return the same for slots that come and go.

    A job whose slot ends under it is done again from its beginning, before all that wait.

    Raises:
        ValueError: the slots end before the work does.
    """
    free = [(span.start, number) for number, span in enumerate(spans)]
    heapq.heapify(free)
    waiting = [(number, 0.0) for number in range(len(costs))]  # and since when
    heapq.heapify(waiting)
    last = 0.0
    while waiting:
        if not free:
            raise ValueError("the slots end before the work does")
        now, slot = heapq.heappop(free)
        job, since = _first_ready(waiting, now)
        start = max(now, since)
        end = spans[slot].end
        if end is not None and start + costs[job] > end:
            # The job is lost with the slot, unless it would only have begun after its end.
            heapq.heappush(waiting, (job, max(since, end) if start < end else since))
        else:
            heapq.heappush(free, (start + costs[job], slot))
            last = max(last, start + costs[job])
    return last


def _first_ready(waiting: list[tuple[int, float]], now: float) -> tuple[int, float]:
    """Take the first job in order that waits at `now`, or else the one that will be the first."""
    ready = [entry for entry in waiting if entry[1] <= now]
    chosen = min(ready) if ready else min(waiting, key=lambda entry: (entry[1], entry[0]))
    waiting.remove(chosen)
    heapq.heapify(waiting)
    return chosen

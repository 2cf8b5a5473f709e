"""Seeded costs of jobs, in seconds, and the least time that they can take. Pure."""

import math
from collections.abc import Sequence
from random import Random

from resonate_fleet.report.bound import Window, greedy


def uniform(seed: int, count: int, low: float = 0.1, high: float = 1.0) -> list[float]:
    random = Random(seed)
    return [round(random.uniform(low, high), 3) for _ in range(count)]


def heavy_tailed(
    seed: int, count: int, low: float = 0.1, high: float = 3.0, shape: float = 1.5
) -> list[float]:
    """Return costs of a Pareto distribution from `low`, cut at `high`."""
    random = Random(seed)
    return [round(min(high, low * random.paretovariate(shape)), 3) for _ in range(count)]


def greedy_bound(costs: Sequence[float], slots: int | Sequence[Window]) -> float:
    """Return the makespan of list scheduling in order, without any overhead, all jobs there at 0.

    `slots`: so many all the while, or from and to of each, in seconds.

    Raises:
        ValueError: the slots end before the work does.
    """
    windows = [(0.0, math.inf)] * slots if isinstance(slots, int) else list(slots)
    ended = greedy([(0.0, cost) for cost in costs], windows)
    if ended is None:
        raise ValueError("the slots end before the work does")
    return ended

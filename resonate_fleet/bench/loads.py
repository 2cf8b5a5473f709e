"""Seeded costs of jobs, in seconds. Pure."""

from random import Random


def uniform(seed: int, count: int, low: float = 0.1, high: float = 1.0) -> list[float]:
    """Return costs that are spread evenly."""
    random = Random(seed)
    return [round(random.uniform(low, high), 3) for _ in range(count)]


def heavy_tailed(
    seed: int, count: int, low: float = 0.1, high: float = 3.0, shape: float = 1.5
) -> list[float]:
    """Return costs of a Pareto distribution from `low`, cut at `high`."""
    random = Random(seed)
    return [round(min(high, low * random.paretovariate(shape)), 3) for _ in range(count)]

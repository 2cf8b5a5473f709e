"""Pauses between tries, each twice as long as the one before."""

import random


def doubled(first: float, doublings: int, longest: float) -> float:
    """Return `first` doubled so many times, `longest` at most, in seconds.

    >>> [doubled(0.5, doublings, 3.0) for doublings in range(4)]
    [0.5, 1.0, 2.0, 3.0]
    """
    return float(min(first * 2.0 ** min(doublings, 1000), longest))


class Backoff:
    """Pauses in seconds. Each is up to a half shorter at random, so that not all come at once."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._tries = 0

    def next(self) -> float:
        pause = doubled(self._first, self._tries, self._longest)
        self._tries += 1
        return pause * random.uniform(0.5, 1)

    def reset(self) -> None:
        """Start again with the first pause: the last try succeeded."""
        self._tries = 0

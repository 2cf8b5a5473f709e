"""When a function that raised runs again."""

import sys
from collections.abc import Callable

from resonate_fleet.contract.backoff import doubled
from resonate_fleet.member.attempts import Attempt, current
from resonate_fleet.member.values import UnwritableError

#: Hears of each retry: the attempt, the error, and the seconds until it.
Retrying = Callable[[Attempt, BaseException, float], None]
LONGEST = 60.0


class Retries:
    """The SDK's retry policy: `count` retries, `delay` seconds before the first, then doubling.

    The SDK calls `next` in its `except` clause, and only for functions without durable steps
    (`resonate.context.Context.invoke_with_retry`). If the body was never entered its arguments do
    not fit; no retry changes that.
    """

    def __init__(self, count: int, delay: float, retrying: Retrying) -> None:
        self._count = count
        self._delay = delay
        self._retrying = retrying

    def next(self, attempt: int) -> int | None:
        error, running = sys.exception(), current.get()
        if attempt > self._count or error is None or running is None:
            return None
        if not running.body.entered or isinstance(error, UnwritableError):
            return None
        delay = doubled(self._delay, attempt - 1, max(LONGEST, self._delay))
        self._retrying(running, error, delay)
        # The SDK's annotation says int; it hands the value on to a sleeper that takes any number.
        return delay  # type: ignore[return-value]  # see above

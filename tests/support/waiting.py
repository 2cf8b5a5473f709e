"""Waiting on conditions, never on the clock."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

#: Seconds between two looks.
LOOK_EVERY = 0.02


def wait_until[T](condition: Callable[[], T | None], timeout: float, what: str) -> T:
    """Return the first true value of `condition`, looked at until `timeout` seconds have passed.

    Blocks the calling thread. Raises AssertionError naming `what` and the last value seen.
    """
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(_sentence(what, timeout, value))
        time.sleep(LOOK_EVERY)


async def wait_until_async[T](
    condition: Callable[[], T | Awaitable[T | None] | None],
    timeout: float,  # noqa: ASYNC109 - same shape as above
    what: str,
) -> T:
    """Do the same without blocking the event loop; `condition` may be a coroutine function."""
    end = time.monotonic() + timeout
    while True:
        found = condition()
        value: T | None = await found if inspect.isawaitable(found) else found
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(_sentence(what, timeout, value))
        await asyncio.sleep(LOOK_EVERY)


def _sentence(what: str, timeout: float, last: object) -> str:
    return f"not within {timeout:g} s: {what} (last seen: {last!r})"

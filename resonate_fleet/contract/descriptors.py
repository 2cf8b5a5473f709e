"""Takes the descriptors that the system allows a process, and reports when there are too few."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

#: Seconds between two reports that no connection can be accepted.
SAID_SECONDS = 60.0
#: Descriptors taken if the system sets no bound.
PLENTY = 65_536
#: Most connections at once that have not said yet what they want.
MOST_STRANGERS = 256
#: asyncio's own message, which it repeats a thousand times a second.
_ACCEPT = "socket.accept() out of system resource"


def raise_limit() -> int:
    """Take as many descriptors as the system lets this process have; return how many."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return 1024
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = PLENTY if hard == resource.RLIM_INFINITY else hard
    if resource.RLIM_INFINITY != soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def most_strangers() -> int:
    """Return how many connections may say nothing: they may not take everybody's descriptors."""
    return min(MOST_STRANGERS, raise_limit() // 4)


def say_once(
    loop: asyncio.AbstractEventLoop,
    say: Callable[[str], None],
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Call `say` once a minute while connections cannot be accepted, in place of asyncio's log."""
    last = float("-inf")

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal last
        if context.get("message") != _ACCEPT:
            loop.default_exception_handler(context)
        elif now() - last >= SAID_SECONDS:
            last = now()
            say(str(context.get("exception")))

    loop.set_exception_handler(handle)

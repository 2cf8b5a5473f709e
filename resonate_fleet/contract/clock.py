"""How far this machine's clock is from the server's.

Whoever creates a promise sets its deadline: a client for its job, a member for a durable sleep. A
clock that is behind sets it too early, and a job may have timed out before it exists. Every answer
of the server carries its time, to the second (HTTP's `Date`).
"""

import time
from collections.abc import Callable
from email.utils import mktime_tz, parsedate_tz

#: A difference of more seconds is logged and taken into account.
TOLERATED = 1.0


class ServerClock:
    """The server's clock, by its answers. Safe to use from any thread.

    `offset`: the seconds that the server's clock is ahead for certain; 0 while both may agree.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.time,
        off: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._now = now
        self._off = off
        self._said = False
        self._low, self._high = float("-inf"), float("inf")
        #: The seconds that the server's clock is taken to be ahead: between these two.
        self._ahead: float | None = None
        #: The last date, as it came and in Unix seconds.
        self._date = ""
        self._at: int | None = None

    @property
    def known(self) -> bool:
        return self._at is not None

    @property
    def offset(self) -> float:
        return self._low if self._low > 0 else min(self._high, 0.0)

    def now(self) -> float:
        """Return the time by the server's clock where this one is off, else by this one."""
        if self._ahead is None or abs(self.offset) <= TOLERATED:
            return self._now()
        return self._now() + self._ahead

    def now_ms(self) -> int:
        return int(self.now() * 1000)

    def heard(self, date: str, took: float) -> None:
        """Take in the `Date` of an answer that came `took` seconds after its request was sent."""
        if date != self._date:
            self._date, self._at = date, seconds_of(date)
        at = self._at
        if at is None:
            return
        low = at - self._now()
        high = low + 1 + took
        narrow = max(low, self._low), min(high, self._high)
        # An empty interval: one of the clocks was set, or they drift apart.
        self._low, self._high = narrow if narrow[0] <= narrow[1] else (low, high)
        # It moves no further than it must, so that `now` seldom steps back.
        before = (low + high) / 2 if self._ahead is None else self._ahead
        self._ahead = min(max(before, self._low), self._high)
        if abs(self.offset) > TOLERATED and not self._said:
            self._said = True
            self._off(round(self._ahead, 1))


def steady_clock() -> Callable[[], float]:
    """Return a clock of Unix seconds that never jumps, not even when this machine's is set."""
    begun = time.time() - time.monotonic()
    return lambda: begun + time.monotonic()


def now_ms() -> int:
    """Return this machine's time, Unix milliseconds."""
    return time.time_ns() // 1_000_000


def seconds_of(date: str) -> int | None:
    """Return the Unix time of a `Date` header, None where it is none."""
    read = parsedate_tz(date)
    return None if read is None else int(mktime_tz(read))

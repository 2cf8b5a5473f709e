"""Time-ordered ids: searches on the server run in id order, so old work comes first."""

import os
import threading
from collections.abc import Callable
from uuid import UUID

from resonate_fleet.contract.clock import now_ms


class Ids:
    """A source of UUIDv7 (RFC 9562, section 5.7), increasing within one process.

    The 48 bits after the millisecond clock's hold a counter in `rand_a` (12 bits, method 1 of
    section 6.2) and 62 random bits, so that ids made in the same millisecond keep their order.
    """

    def __init__(
        self,
        now_ms: Callable[[], int] = now_ms,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._last = (0, 0)
        self._lock = threading.Lock()

    def new(self) -> str:
        """Return a new id as 36 lower-case characters."""
        with self._lock:
            ms, counter = self._next()
        random = int.from_bytes(self._random_bytes(8)) & ((1 << 62) - 1)
        return str(UUID(int=(ms << 80) | (7 << 76) | (counter << 64) | (2 << 62) | random))

    def _next(self) -> tuple[int, int]:
        now = self._now_ms()
        last_ms, last_counter = self._last
        if now > last_ms:
            self._last = (now, 0)
        elif last_counter < 0xFFF:
            self._last = (last_ms, last_counter + 1)
        else:  # 4,096 ids in one millisecond: borrow from the next
            self._last = (last_ms + 1, 0)
        return self._last


#: The process's own source.
new_id = Ids().new


def root_of(task: str) -> str:
    """Return the job that a task belongs to.

    SDK 0.8.1 makes the ids of a job's own children as `job:1`, `job:1.2` (`resonate.ids`).
    """
    return task.partition(":")[0]


def origin_of(task: str) -> tuple[str, str]:
    """Return a key; heartbeats of tasks with the same key may share a request.

    For the server's main branch an origin is the id up to its first `.`, for the SDK up to its
    first `:`. Tasks with the same key have the same origin for both.
    """
    return task.partition(".")[0], task.partition(":")[0]


def is_child(task: str) -> bool:
    """Say whether a task is a child of a job: it may be a durable sleep, which nobody runs."""
    return ":" in task

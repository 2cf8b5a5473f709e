"""Gives the memory of large values back to the system when their job has ended."""

import asyncio
import ctypes
import gc
from contextlib import suppress

#: Bytes from which a block counts as large.
LARGE = 1 << 20
#: Seconds after a large request until garbage is collected.
LATER = 1.0
#: `mallopt(3)`.
_M_MMAP_THRESHOLD = -3


def give_back() -> None:
    """Have glibc return large blocks at once; by default it keeps as much as the largest took."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE)


class Garbage:
    """Collects garbage after large requests: errors and frames that hold them form cycles."""

    def __init__(self) -> None:
        self._soon: asyncio.TimerHandle | None = None

    def left(self, size: int) -> None:
        """Note a request of so many bytes. To be called on the event loop."""
        if size >= LARGE and self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(LATER, self._collect)

    def _collect(self) -> None:
        self._soon = None
        gc.collect()

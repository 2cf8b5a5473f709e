"""Lines that are written once an iteration of an event loop, and not one by one."""

import threading
from collections.abc import Callable

#: Has the loop call a function in its next iteration.
type Soon = Callable[[Callable[[], None]], object]


class LineBuffer:
    """Hands lines to `write` in the order of `add`. Safe to use from any thread.

    Lines of the thread that has called `collect` go together: `soon` flushes them, or the next
    line of another thread does. A line of any other thread goes at once.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        # One that the same thread may take again: `write` may add a line (that the log is lost).
        self._lock = threading.RLock()
        self._waiting: list[bytes] = []
        self._thread: int | None = None
        self._soon: Soon = lambda flush: flush()

    def collect(self, soon: Soon) -> None:
        """Join what this thread adds from now on."""
        self._thread, self._soon = threading.get_ident(), soon

    def add(self, line: bytes) -> None:
        with self._lock:
            self._waiting.append(line)
            if self._thread != threading.get_ident():
                self._flush()
            elif len(self._waiting) == 1:
                self._soon(self.flush)

    def flush(self) -> None:
        """Write what waits. To be called before the process ends by itself."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            lines, self._waiting = self._waiting, []
            self._write(b"".join(lines))

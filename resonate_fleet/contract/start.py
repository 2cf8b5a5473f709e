"""The first lines of a process: it sets signal handlers before it imports what takes time.

The kernel drops a signal without a handler for process 1 of a container. A SIGTERM during the start
would be lost, and the container killed at the end of its grace. So the Dockerfile blocks these
signals until Python runs, and they are handled here.
"""

import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from resonate_fleet.contract import exits

#: Signals that ask a process to end.
STOPS: Final = (signal.SIGTERM, signal.SIGINT)


def leave_when_told(code: int = exits.OK) -> None:
    """End at once with `code` on SIGTERM or SIGINT, until the process sets handlers of its own.

    Until then it has begun nothing that must be ended in order.
    """
    open_streams()

    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(code)

    for one in STOPS:
        signal.signal(one, leave)
    let_in()


def open_streams() -> None:
    """Open /dev/null for each standard stream that is closed (`2>&-`).

    The next file or socket would get its descriptor, and what is written to the stream.
    """
    for fd, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "r" if fd == 0 else "w", closefd=False))


def let_in() -> None:
    """Unblock the signals that the Dockerfile blocks; one that has waited is handled at once."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def plain_streams() -> None:
    """Have standard streams escape what they cannot show, so that no text ends a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class StdoutLost(OSError):  # noqa: N818 - a state of the world
    """Standard output cannot be written; where its reader has gone, it is BrokenPipeError."""


def tell_stdout_apart() -> None:
    """Have errors of standard output be of their own type."""
    for name in ("write", "flush"):
        setattr(sys.stdout, name, _apart(getattr(sys.stdout, name)))


def _apart[**P, T](write: Callable[P, T]) -> Callable[P, T]:
    def written(*given: P.args, **named: P.kwargs) -> T:
        try:
            return write(*given, **named)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StdoutLost(error.errno, error.strerror) from None

    return written


def import_structlog() -> None:
    """Import structlog without rich, which would take 0.1 s; it needs it to draw exceptions.

    A module that is None in `sys.modules` counts as missing (Python's documentation). Later imports
    of rich work.
    """
    modules: dict[str, Any] = sys.modules
    if "structlog" in modules or "rich" in modules:
        return
    modules["rich"] = None
    try:
        import structlog  # noqa: F401, PLC0415 - the import is what this is for
    finally:
        del modules["rich"]

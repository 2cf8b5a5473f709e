"""The first lines of a process: signals are heard before anything that takes time is imported.

As process 1 of a container, where nobody put an init, a signal without a handler is dropped by the
kernel: a SIGTERM during the start would be lost and the container killed when its grace is over.
The Dockerfile blocks these signals until Python runs; what came meanwhile is heard here.
"""

import io
import os
import signal
import sys
from types import FrameType
from typing import Any, Final

from resonate_fleet.contract import exits

#: What asks a process to end.
STOPS: Final = (signal.SIGTERM, signal.SIGINT)


def leave_when_told(code: int = exits.OK) -> None:
    """End at once with `code` on SIGTERM or SIGINT, until the process sets handlers of its own.

    Until then it has begun nothing that would have to be ended.
    """
    open_streams()

    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(code)

    for one in STOPS:
        signal.signal(one, leave)
    let_in()


def open_streams() -> None:
    """Put nothing in the place of a standard stream that is closed (`2>&-`).

    The next file or socket would get its number, and whatever is written there.
    """
    for fd, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "r" if fd == 0 else "w", closefd=False))


def let_in() -> None:
    """Take what the Dockerfile blocks; a signal that has waited is handled at once."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def plain_streams() -> None:
    """Let no text end a command: what a stream cannot show is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def import_structlog() -> None:
    """Import structlog without rich, which it loads for pictures of exceptions: 0.1 s of CPU.

    A module that stands as None in `sys.modules` counts as missing, by Python's own documentation.
    Whoever wants rich afterwards gets it.
    """
    modules: dict[str, Any] = sys.modules
    if "structlog" in modules or "rich" in modules:
        return
    modules["rich"] = None
    try:
        import structlog  # noqa: F401, PLC0415 - the import is what this is for
    finally:
        del modules["rich"]

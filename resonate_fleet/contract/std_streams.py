"""Opens standard streams that are closed, has them take any text, and tells their errors apart."""

import io
import os
import sys
from collections.abc import Callable


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


def plain_streams() -> None:
    """Have standard streams escape what they cannot show, so that no text ends a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class StdoutLost(OSError):  # noqa: N818 - a state of the world
    """Standard output cannot be written; where its reader has gone, it is BrokenPipeError."""


def tell_stdout_apart() -> None:
    """Give errors of standard output a type of their own."""
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

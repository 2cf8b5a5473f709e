"""Where lines are written: what cannot be written is lost and counted, and stops nobody.

A log whose reader has gone, a pipe that nobody empties, a full disk: each of them would end or
hold whatever writes a line, and that is everything in a process.
"""

import io
import os
import select
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TextIO

#: Bytes that a pipe takes at once where it says that it takes any (POSIX, `PIPE_BUF`).
PIPE_BYTES = 4096
#: Seconds to wait for a pipe that is full before its lines are dropped.
PIPE_SECONDS = 1.0


class Loss(NamedTuple):
    """A line that was lost, or (`over`) the end of such a time.

    `what` is where it should have gone, `log` or `journal`; `lines` counts since the last one that
    was written.
    """

    what: str
    why: str
    lines: int
    over: bool = False
    #: How many of them this time.
    fresh: int = 1


class Losses:
    """Who hears of lost lines in this process."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Loss], None]] = []
        self._telling = threading.local()

    def tell(self, loss: Loss) -> None:
        if getattr(self._telling, "now", False):
            return  # what tells of a loss may lose its own line
        self._telling.now = True
        try:
            for listener in list(self.listeners):
                listener(loss)
        finally:
            self._telling.now = False


#: The process's own.
losses = Losses()


class Sink:
    """Appends whole lines to a file descriptor. Safe to use from any thread.

    `write` never raises and never waits for long. A line that was cut is ended before the next.
    """

    def __init__(self, what: str, fd: int, noted: Losses = losses) -> None:
        self.fd = fd
        self._what = what
        self._noted = noted
        self._lock = threading.Lock()
        self._failing = False
        self._cut = False
        self._lost = 0
        self._may_block = not stat.S_ISREG(os.fstat(fd).st_mode)

    def write(self, line: bytes) -> None:
        """Write lines with their ends, or lose them."""
        why = self._try(line)
        if why is not None:
            fresh = line.count(b"\n")
            self._lost += fresh
            self._noted.tell(Loss(self._what, why, self._lost, fresh=fresh))
        elif self._lost:
            lost, self._lost = self._lost, 0
            self._noted.tell(Loss(self._what, "", lost, over=True))

    def _try(self, line: bytes) -> str | None:
        with self._lock:
            left = b"\n" + line if self._cut else line
            try:
                while left:
                    self._wait_for_room()
                    written = os.write(self.fd, left[:PIPE_BYTES] if self._may_block else left)
                    left = left[written:]
                    self._cut = bool(left)
            except OSError as error:
                self._failing = True
                return error.strerror or str(error)
            self._failing = False
            return None

    def _wait_for_room(self) -> None:
        if not self._may_block:
            return
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        if not poll.poll(0 if self._failing else PIPE_SECONDS * 1000):
            raise OSError(0, "nobody reads it")


class LineStream(io.TextIOBase):
    """A text stream that writes whole lines to a sink, those of each thread for themselves."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._rest = threading.local()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._sink.fd)

    def fileno(self) -> int:
        return self._sink.fd

    def close(self) -> None:
        """Stay open: whoever closes a standard stream does not own it."""

    def write(self, text: str) -> int:
        whole, end, rest = (getattr(self._rest, "text", "") + text).rpartition("\n")
        if end:
            self._sink.write((whole + end).encode("utf-8", "backslashreplace"))
        self._rest.text = rest
        return len(text)


def lines_to(stream: TextIO, what: str) -> TextIO:
    """Return a stream that writes where `stream` does and never fails.

    A stream without a descriptor (a test's own) is returned as it is.
    """
    if isinstance(stream, LineStream):
        return stream
    try:
        fd = stream.fileno()
        with suppress(OSError, ValueError):
            stream.flush()
        return LineStream(Sink(what, fd))  # type: ignore[return-value]  # it is one but for `mode`
    except (OSError, ValueError, AttributeError):  # none, or closed
        return stream

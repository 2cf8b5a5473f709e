"""Writes lines. A line that cannot be written is lost and counted; it stops nothing.

A log without a reader, a pipe that nobody empties or a full disk would otherwise end or block
whatever writes a line, and everything in a process does.
"""

import io
import os
import select
import stat
import threading
from collections.abc import Buffer, Callable
from contextlib import suppress
from typing import Any, NamedTuple, TextIO

#: Bytes that a pipe takes at once if it is ready to take any (POSIX, `PIPE_BUF`).
PIPE_BYTES = 4096
#: Most bytes that wait for the end of their line: some print dots for days.
LINE_BYTES = 65_536
#: Longest wait for a full pipe, in seconds; then its lines are lost.
PIPE_SECONDS = 1.0


class Loss(NamedTuple):
    """Lines were lost, or (`over`) lines can be written again.

    `what`: where they should have gone, `log` or `journal`. `lines`: all that were lost since the
    last line that was written.
    """

    what: str
    why: str
    lines: int
    over: bool = False
    #: The lines that were lost this time.
    fresh: int = 1


class Losses:
    """Tells listeners of lost lines."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Loss], None]] = []
        self._telling = threading.local()

    def tell(self, loss: Loss) -> None:
        if getattr(self._telling, "now", False):
            return  # a listener lost its own line
        self._telling.now = True
        try:
            for listener in list(self.listeners):
                listener(loss)
        finally:
            self._telling.now = False


#: This process's losses.
losses = Losses()


class Sink:
    """Appends whole lines to a file descriptor. Safe to use from any thread.

    `write` never raises and never waits for long. A line that was cut off is ended before the next.
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


class _WholeLines(io.BufferedIOBase):
    """Writes whole lines to a sink. Each thread's lines stay apart."""

    name = "<lines>"

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

    def write(self, data: Buffer) -> int:
        given = bytes(data)
        whole, end, rest = (getattr(self._rest, "line", b"") + given).rpartition(b"\n")
        if len(rest) > LINE_BYTES:
            whole, end, rest = whole + end + rest, b"\n", b""
        if end:
            self._sink.write(whole + end)
        self._rest.line = rest
        return len(given)


class LineStream(io.TextIOWrapper):
    """A standard stream in UTF-8 that writes whole lines to a sink and stays as it is."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(_WholeLines(sink), "utf-8", "backslashreplace", write_through=True)

    def close(self) -> None:
        """Stay open."""

    def detach(self) -> Any:
        """Return what takes bytes; it serves this stream too."""
        return self.buffer

    def reconfigure(self, **_: object) -> None:
        """Stay as it is."""


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
        return LineStream(Sink(what, fd))
    except (OSError, ValueError, AttributeError):  # none, or closed
        return stream

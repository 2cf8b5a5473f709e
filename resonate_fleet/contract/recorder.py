"""Writes a process's journal: each line to the log and, where a folder is set, to a file.

A process that is killed leaves whole lines, except perhaps the last one. A line that cannot be
written is lost and counted, which is logged once; the work goes on. Each start of a process begins
a new file, and all journals of a folder are bounded together.
"""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

from resonate_fleet.contract.journal import Line
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.sink import Loss, Sink, losses

#: Bytes of a journal's file. A full one becomes `<who>.1.jsonl` and replaces the one before it.
FILE_BYTES = 64 * 1024 * 1024
#: Bytes of all journals of a folder. The oldest go first.
FOLDER_BYTES = 1024 * 1024 * 1024
#: Errors of a disk that is full and may have space later.
FULL = (errno.ENOSPC, errno.EDQUOT)
#: Seconds between two checks whether the file still exists.
CHECK_SECONDS = 1.0
INFO, ERROR = 20, 40

#: Has the loop call a function in its next iteration.
type Soon = Callable[[Callable[[], None]], object]


class Log(Protocol):
    """The part of a structlog logger that a journal needs."""

    def log(self, level: int, event: str, **fields: Any) -> Any: ...


class LineBuffer:
    """Hands lines to `write` in the order of `add`. Safe to use from any thread.

    Lines of the thread that has called `collect` go together, once an iteration of its event loop:
    `soon` flushes them, or the next line of another thread does. A line of any other thread goes at
    once.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        # One that the same thread may take again: `write` may add a line (that the log is lost).
        self.lock = threading.RLock()
        self._waiting: list[bytes] = []
        self._thread: int | None = None
        self._soon: Soon = lambda flush: flush()

    def collect(self, soon: Soon) -> None:
        """Join what this thread adds from now on."""
        self._thread, self._soon = threading.get_ident(), soon

    def add(self, line: bytes) -> None:
        with self.lock:
            self._waiting.append(line)
            if self._thread != threading.get_ident():
                self.flush()
            elif len(self._waiting) == 1:
                self._soon(self.flush)

    def flush(self) -> None:
        """Write what waits. To be called before the process ends by itself."""
        with self.lock:
            if self._waiting:
                lines, self._waiting = self._waiting, []
                self._write(b"".join(lines))


class Journal:
    """Where one process writes its lines. Safe to call from any thread.

    `folder` None means that the log is the only journal. The file is `<who>.jsonl`, and
    `<who>.1.jsonl` the one before it. `threshold` is the least level that the log shows.

    Raises:
        OSError: the folder cannot be used.
    """

    def __init__(
        self,
        who: str,
        folder: Path | None = None,
        log: Log | None = None,
        now: Callable[[], float] = time.time,
        file_bytes: int = FILE_BYTES,
        threshold: int = 0,
    ) -> None:
        self.who = who
        if log is None:
            import structlog  # noqa: PLC0415 - a one-shot client has a log of its own and need not wait

            log = structlog.get_logger()
        self._log: Log = log
        self._threshold = threshold
        self._now = now
        #: What loses lines, as far as this has reported it.
        self._losing: set[str] = set()
        self._file = None
        if folder is not None:
            self._file = _File(folder / f"{who}.jsonl", file_bytes, log)
        #: Unless its `collect` is called, a line is in the file when `write` returns.
        self.buffer = LineBuffer(self._put)
        losses.listeners.append(self._say)
        if self._file is not None:
            self._file.make_room()

    def write(self, line: Line, level: int = INFO) -> None:
        """Stamp `line` with time and writer, append it, log it at `level` (logging's numbers)."""
        stamped = msgspec.structs.replace(line, at=line.at or round(self._now(), 6), who=self.who)
        self._append(stamped)
        if level >= self._threshold:
            fields = msgspec.to_builtins(stamped)
            self._log.log(level, fields.pop("action"), **fields)

    def close(self) -> None:
        with self.buffer.lock:  # no other thread is in the middle of a line
            self.buffer.flush()
            if self._say in losses.listeners:
                losses.listeners.remove(self._say)
            if self._file is not None:
                file, self._file = self._file, None
                file.close()

    def _append(self, fields: Line | Mapping[str, Any]) -> None:
        if self._file is not None:
            self.buffer.add(msgspec.json.encode(fields) + b"\n")

    def _put(self, lines: bytes) -> None:
        if self._file is not None:
            self._file.write(lines)

    def _say(self, loss: Loss) -> None:
        """Say once in the log that the journal is lost, or the reverse, and when that is over."""
        if not loss.over and loss.what in self._losing:
            return
        (self._losing.discard if loss.over else self._losing.add)(loss.what)
        if loss.over and loss.what == "journal":
            self._log.log(INFO, "journal.written", lost=loss.lines)
        elif loss.over:
            self._log.log(INFO, "log.written", lost=loss.lines)
        elif loss.what == "journal":
            self._log.log(ERROR, "journal.lost", why=loss.why, then="the work goes on")
        else:
            at = round(self._now(), 6)
            line = {"at": at, "level": "error", "action": "log.lost", "who": self.who}
            self._append(line | {"why": loss.why, "then": "the work goes on"})


def open_journal(setting: str, who: str, folder: Path | None, **more: Any) -> Journal:
    """Return a journal in the folder that `setting` names; `more` as for `Journal`.

    Raises:
        Mistake: the folder cannot be used.
    """
    try:
        return Journal(who, folder, **more)
    except OSError as error:
        says = f"{setting} is {str(folder)!r}: {error.strerror}; accepted: a folder to write to"
        raise Mistake(says) from None


class _File:
    """A file that is rotated when it is full, and made anew when it was deleted.

    One thread at a time writes to it: its buffer has a lock.
    """

    def __init__(self, path: Path, limit: int, log: Log) -> None:
        self._path = path
        self._limit = limit
        self._log = log
        self._sink: Sink | None = None
        self._size = self._lost = 0
        self._checked = time.monotonic()
        try:
            self._open()
        except OSError as error:
            if error.errno not in FULL:
                raise

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
        self._sink = Sink("journal", os.open(self._path, flags, 0o644))
        with suppress(OSError):  # held, so that `make_room` keeps it while its process lives
            fcntl.flock(self._sink.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        self._size = os.fstat(self._sink.fd).st_size

    def write(self, lines: bytes) -> None:
        dropped, deleted = None, False
        try:
            if deleted := self._is_deleted():
                self.close()
            if self._sink is None:
                self._open()
            elif self._size + len(lines) > self._limit:
                dropped = self._rotate(self._sink)
        except OSError as error:
            if self._sink is None:
                self._lost += 1
                losses.tell(Loss("journal", error.strerror or str(error), self._lost))
        if self._sink is not None:
            self._size += len(lines)
            self._sink.write(lines)
        # Logged last: if the log loses these lines, that is written to this file.
        if deleted:
            self._log.log(INFO, "journal.deleted", file=str(self._path), then="begun anew")
        if dropped is not None:
            self._log.log(INFO, "journal.rotated", dropped_bytes=dropped, file=str(self._path))
            self.make_room()

    def make_room(self) -> None:
        """Delete the oldest journals of the folder where they are too many."""
        folder = self._path.parent
        files, freed = make_room(folder)
        if files:
            self._log.log(INFO, "journal.dropped", folder=str(folder), files=files, bytes=freed)

    def _is_deleted(self) -> bool:
        """Check now and then whether somebody has deleted the open file."""
        now = time.monotonic()
        if self._sink is None or now - self._checked < CHECK_SECONDS:
            return False
        self._checked = now
        return os.fstat(self._sink.fd).st_nlink == 0

    def _rotate(self, old: Sink) -> int:
        before = self._path.with_suffix(".1.jsonl")
        dropped = before.stat().st_size if before.exists() else 0
        self._path.replace(before)
        self._open()
        os.close(old.fd)
        return dropped

    def close(self) -> None:
        if self._sink is not None:
            old, self._sink = self._sink, None
            os.close(old.fd)


def make_room(folder: Path, limit: int = FOLDER_BYTES) -> tuple[int, int]:
    """Delete the oldest journals that no process holds until the rest fits into `limit` bytes.

    Return how many were deleted, and their bytes.
    """
    found: list[tuple[float, int, Path]] = []
    for path in folder.glob("*.jsonl"):
        with suppress(OSError):
            now = path.stat()
            found.append((now.st_mtime, now.st_size, path))
    total, files, freed = sum(size for _, size, _ in found), 0, 0
    for _, size, path in sorted(found):
        if total - freed <= limit:
            break
        if not _is_held(path):
            with suppress(OSError):
                path.unlink()
                files, freed = files + 1, freed + size
    return files, freed


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False

"""Batches: a file of jobs, one JSON object a line. It is checked whole, then read again."""

import os
import shutil
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from stat import S_ISREG
from tempfile import TemporaryFile
from typing import IO, Any, Final

import msgspec

from resonate_fleet.contract.envelope import read_json
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.settings import Kind, Mistake, integer, length, name, seconds
from resonate_fleet.submit.load import (
    ID,
    KEY,
    PRIORITY,
    Job,
    beginning,
    call,
    late,
    policy_tags,
    utf8,
)
from resonate_fleet.submit.settings import FUNCTION, LONGEST, SubmitSettings

#: Most mistakes that are named: a file may be wrong throughout.
MOST_MISTAKES: Final = 10
#: Longest line: the server's limit for a request (`REQUEST_BYTES`), which holds it as base64.
LINE_BYTES: Final = 1_500_000


class BatchLine(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """A job as the file has it. `not_before`: how long from its submission, such as "2h"."""

    id: str | None = None
    function: str | None = None
    args: list[Any] | dict[str, Any] = []
    group: str | None = None
    timeout: float | None = None
    version: int = 1
    priority: int | None = None
    key: str | None = None
    not_before: str | None = None


ACCEPTED: Final = f"one JSON object a line with {', '.join(BatchLine.__struct_encode_fields__)}"
_KINDS: Final[dict[str, Kind[Any]]] = {
    "id": ID,
    "function": FUNCTION,
    "group": name("group"),
    "timeout": seconds(0.001, LONGEST),
    "version": integer(1, 2**31),
    "priority": PRIORITY,
    "key": KEY,
    "not_before": length(),
}


class Batch:
    """The jobs of the file at `path`, `-` for standard input. Each iteration reads it again.

    `function` is for lines without one. A line without an id gets the same one each time: `prefix`
    with the line's number or, without a prefix, a digest of number, function and line, which the
    settings' prefix stands before.

    Raises:
        Mistake: the file cannot be read, or lines of it are wrong.
        CommandFailed: by an iteration, where the file has changed since it was checked.
    """

    def __init__(
        self, path: str, function: str | None, prefix: str | None, settings: SubmitSettings
    ) -> None:
        self._path, self._file = path, _open(path)
        self._stamp = self._stamp_now()
        self._function, self._prefix = function, prefix
        self._begin = beginning(settings.id_prefix)
        self._count = 0
        wrong: list[str] = []
        for number, raw in _lines(self._file):
            self._count += 1
            if says := _wrong(raw, function, settings.timeout):
                wrong.append(f"--jobs {path}, line {number}: {says}")
            if len(wrong) > MOST_MISTAKES:
                wrong[MOST_MISTAKES:] = [f"--jobs {path}: and more; accepted: {ACCEPTED}"]
                break
        if not self._count:
            wrong = [f"--jobs is {path!r}, which has no jobs; accepted: {ACCEPTED}"]
        if wrong:
            raise Mistake(*wrong)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Job]:
        self._file.seek(0)
        for number, raw in _lines(self._file):
            self._check_unchanged()
            line = msgspec.json.decode(raw, type=BatchLine)
            made = call(line.function or self._function or "", line.args, line.version)
            tags = policy_tags(line.priority, line.key, _later(line))
            id_ = line.id or self._id(number, raw)
            yield Job(id_, made, group=line.group, timeout=line.timeout, tags=tags)
        self._check_unchanged()

    def _stamp_now(self) -> tuple[int, int]:
        stat = os.fstat(self._file.fileno())
        return stat.st_size, stat.st_mtime_ns

    def _check_unchanged(self) -> None:
        """Raises CommandFailed where somebody has written to the file since it was checked."""
        if self._stamp_now() != self._stamp:
            raise CommandFailed(f"{self._path} has changed since it was checked")

    def _id(self, number: int, raw: bytes) -> str:
        if self._prefix is not None:
            return f"{self._prefix}-{number:05d}"
        what = f"{number} {self._function} ".encode() + raw
        return f"{self._begin}batch-{blake2b(what, digest_size=12).hexdigest()}"


def _open(path: str) -> IO[bytes]:
    try:
        given = sys.stdin.buffer if path == "-" else Path(path).open("rb")  # noqa: SIM115 - read until the process ends
        if path != "-" and S_ISREG(os.fstat(given.fileno()).st_mode):
            return given
        file = TemporaryFile()  # noqa: SIM115 - the same
        shutil.copyfileobj(given, file)  # a pipe can be read once only
    except OSError as error:
        raise Mistake(f"--jobs is {path!r}: {error.strerror}; accepted: a file") from None
    file.seek(0)
    return file


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not empty, with its number."""
    for number, raw in enumerate(file, 1):
        line = (raw.removeprefix(BOM_UTF8) if number == 1 else raw).strip()
        if line:
            yield number, line


def _wrong(raw: bytes, function: str | None, timeout: float) -> str:
    """Return what is wrong with a line, or nothing. `timeout` is for a line without one."""
    try:
        line: BatchLine = read_json(utf8(raw), BatchLine)
    except ValueError as error:
        return f"{error}; accepted: {ACCEPTED}"
    if len(raw) > LINE_BYTES:
        return f"it has {len(raw):,} bytes; accepted: {LINE_BYTES:,} at most"
    if line.function is None and function is None:
        return "no function, and none was named for all; accepted: a function's name"
    for field, kind in _KINDS.items():
        value = getattr(line, field)
        try:
            if value is not None:
                kind.read(str(value))
        except ValueError:
            return f"{field.replace('_', '-')} is {value!r}; accepted: {kind.accepts}"
    return late(_later(line), timeout if line.timeout is None else line.timeout)


def _later(line: BatchLine) -> float | None:
    return None if line.not_before is None else length().read(line.not_before)

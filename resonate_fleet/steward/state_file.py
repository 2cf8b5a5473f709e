"""The state file: it keeps members, crash counts and parked jobs over a restart of the steward."""

import fcntl
import os
from pathlib import Path
from typing import IO

import msgspec

from resonate_fleet.contract.live import CrashRecord


class Known(msgspec.Struct, frozen=True):
    """A member that was present when the file was written."""

    group: str
    slots: int


class Memory(msgspec.Struct, kw_only=True):
    """All that is kept. `records` by task id, `members` by name."""

    members: dict[str, Known] = {}
    records: dict[str, CrashRecord] = {}


class StateFile:
    """Keeps a `Memory` in one file. It is replaced whole: a kill leaves the old one or the new.

    A second steward on the same file neither reads nor writes it: it would take the members of
    the first one for dead. The lock is the kernel's and ends with the process.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock: IO[str] | None = None

    def load(self) -> Memory:
        """Return what was kept; an empty memory if there is no file or another steward has it.

        Raises:
            ValueError: the file is not a state file. It is left alone.
        """
        if self._path is not None and self._path.is_dir():
            raise ValueError("a folder; accepted: a file (Docker makes a folder of a missing one)")
        if self._path is None or not self._mine() or not self._path.exists():
            return Memory()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Memory)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not a state file of the steward: {error}") from None

    def save(self, memory: Memory) -> None:
        if self._path is None or not self._mine():
            return
        new = self._path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(memory))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _mine(self) -> bool:
        if self._lock is not None or self._path is None:
            return self._lock is not None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._path.with_suffix(".lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._lock = lock
        return True

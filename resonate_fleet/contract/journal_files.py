"""Bounds all journals of a folder together: each start of a process begins a new file."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

#: Bytes of all journals of a folder. The oldest go first.
FOLDER_BYTES = 1024 * 1024 * 1024


class Dropped(NamedTuple):
    files: int
    bytes: int


def hold(fd: int) -> None:
    """Protect an open journal for as long as its process lives."""
    with suppress(ImportError, OSError):
        import fcntl  # noqa: PLC0415 - not on every system

        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def make_room(folder: Path, limit: int = FOLDER_BYTES) -> Dropped:
    """Delete the oldest journals that no process holds until the rest fits into `limit`."""
    found = sorted(_journals(folder))
    total, files, freed = sum(size for _, size, _ in found), 0, 0
    for _, size, path in found:
        if total - freed <= limit:
            break
        if not _is_held(path):
            with suppress(OSError):
                path.unlink()
                files, freed = files + 1, freed + size
    return Dropped(files, freed)


def _journals(folder: Path) -> list[tuple[float, int, Path]]:
    """Return when each was last written, its size and its path."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for one in entries:
            if one.name.endswith(".jsonl"):
                with suppress(OSError):
                    now = one.stat()
                    found.append((now.st_mtime, now.st_size, Path(one.path)))
    return found


def _is_held(path: Path) -> bool:
    try:
        import fcntl  # noqa: PLC0415 - as above

        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return True
    return False

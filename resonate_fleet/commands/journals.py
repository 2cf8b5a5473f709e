"""What is new in a fleet's journals, and the kills that its page asks for in them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from resonate_fleet.contract.journal import Acted, BadLine, Line, read


def kills(lines: Iterable[Line | BadLine]) -> Iterator[tuple[str, str]]:
    """Yield member and job of each kill that was asked for on the page."""
    for line in lines:
        if isinstance(line, Acted) and line.act == "kill":
            yield from zip(line.members, line.jobs, strict=True)


class Tail:
    """Reads what is new in the journals of `folder`: whole lines, each once; of `files` alone."""

    def __init__(self, folder: Path, files: str = "*.jsonl") -> None:
        self._folder = folder
        self._files = files
        #: By name, the inode and how far it is read: a full file becomes `<who>.1.jsonl`.
        self._read: dict[str, tuple[int, int]] = {}

    def new(self) -> list[Line | BadLine]:
        """Return the lines since the last call, by time."""
        found: list[Line | BadLine] = []
        before = dict(self._read)
        for path in sorted(self._folder.glob(self._files)):
            names = (path.name.replace(".1.jsonl", ".jsonl"), path.name)
            with suppress(FileNotFoundError), path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                start = file.seek(dict(before[one] for one in names if one in before).get(inode, 0))
                chunk = file.read()
                whole = chunk[: chunk.rfind(b"\n") + 1]
                self._read[path.name] = (inode, start + len(whole))
                found += read(whole.splitlines(), path.name)
        return sorted(found, key=lambda line: line.at if isinstance(line, Line) else 0.0)

"""Follows the journals of a run while they are written."""

from pathlib import Path

from resonate_fleet.contract.journal import BadLine, Line, read


class Tail:
    """Reads what is new in `folder`, whole lines only, each line once; of `files` alone."""

    def __init__(self, folder: Path, files: str = "*.jsonl") -> None:
        self._folder = folder
        self._files = files
        self._offsets: dict[Path, int] = {}

    def new(self) -> list[Line | BadLine]:
        """Return the lines since the last call, by time."""
        found: list[Line | BadLine] = []
        for path in sorted(self._folder.glob(self._files)):
            found += self._new_in(path)
        return sorted(found, key=lambda line: line.at if isinstance(line, Line) else 0.0)

    def _new_in(self, path: Path) -> list[Line | BadLine]:
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            chunk = file.read()
        whole = chunk[: chunk.rfind(b"\n") + 1]
        self._offsets[path] = self._offsets.get(path, 0) + len(whole)
        return list(read(whole.splitlines(), path.name))

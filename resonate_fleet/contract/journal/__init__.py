"""Journal lines of the processes, which the report compares with the server's records.

A journal line is a log line with a fixed set of fields. Every process logs its lines (so that
`docker compose logs` and `kubectl logs` are journals) and, where a journal folder is set, appends
the same line to a file of its own there (contract.recorder).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from resonate_fleet.contract.journal.lines import *  # noqa: F403 - every line is imported from here
from resonate_fleet.contract.journal.lines import Line

#: The class of each action, in the order of the documentation.
KINDS: tuple[type[Line], ...] = tuple(Line.__subclasses__())


class BadLine(msgspec.Struct, frozen=True):
    """A line that could not be read: cut off, or of a known action with wrong fields."""

    where: str
    text: str


_actions = {kind.__struct_config__.tag: kind for kind in KINDS}


def read(lines: Iterable[bytes | str], where: str) -> Iterator[Line | BadLine]:
    """Yield the journal lines among `lines`, and a BadLine for each broken one."""
    for number, raw in enumerate(lines, start=1):
        text = raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
        if not text.strip():
            continue
        try:
            fields = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError):  # bytes that are no UTF-8, say
            yield BadLine(f"{where}:{number}", text.rstrip("\n"))
            continue
        kind = _actions.get(str(fields.get("action"))) if isinstance(fields, dict) else None
        if kind is None:
            continue
        try:
            yield msgspec.convert(fields, kind)
        except msgspec.ValidationError:
            yield BadLine(f"{where}:{number}", text.rstrip("\n"))


def read_folder(folder: Path) -> list[Line | BadLine]:
    """Return all lines of all journals in `folder`, in the order of their times."""
    found: list[Line | BadLine] = []
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as file:
            found.extend(read(file, path.name))
    return sorted(found, key=lambda line: line.at if isinstance(line, Line) else 0.0)

"""What the sources left behind, read from the run folder; the only reading the judge does."""

from pathlib import Path
from typing import Any

import msgspec

from resonate_fleet.contract.journal import AnyLine, BadLine, Line, read
from resonate_fleet.contract.run import Plan, Records, RunFolder
from resonate_fleet.report.entries import JournalEntry
from resonate_fleet.report.scope import of_this_run


class Torn(msgspec.Struct, frozen=True, kw_only=True):
    """A journal line that cannot be read; `last` where nothing follows it in its file."""

    file: str
    where: str
    text: str
    last: bool


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found. `unread` names files that are missing or unreadable, and why."""

    plan: Plan | None
    records: Records | None
    lines: list[JournalEntry[Any]]
    torn: list[Torn]
    unread: dict[str, str]
    #: The same lines by kind, filled when the evidence is made.
    by_kind: dict[type, list[JournalEntry[Any]]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_kind.clear()
        for entry in self.lines:
            self.by_kind.setdefault(type(entry.line), []).append(entry)

    def of[L: Line](self, kind: type[L]) -> list[JournalEntry[L]]:
        """Return the lines of one kind, in the order of their times."""
        return self.by_kind.get(kind, [])


def read_evidence(folder: RunFolder) -> Evidence:
    """Read a run folder. What cannot be read is named in the evidence, never raised."""
    unread: dict[str, str] = {}
    plan = _load(folder.plan, Plan, unread)
    records = _load(folder.server, Records, unread)
    lines: list[JournalEntry[Any]] = []
    torn: list[Torn] = []
    for path in sorted(folder.journal.glob("*.jsonl")):
        good, bad = journal(path.name, path.read_bytes())
        lines += good
        torn += bad
    lines.sort(key=lambda entry: entry.line.at)
    lines = of_this_run(lines, plan, records)
    return Evidence(plan=plan, records=records, lines=lines, torn=torn, unread=unread)


def journal(name: str, content: bytes) -> tuple[list[JournalEntry[Any]], list[Torn]]:
    """Return the lines of one journal, and those that cannot be read.

    A journal may be a container's whole log: text that was never a journal line is passed over.
    """
    good: list[JournalEntry[Any]] = []
    torn: list[Torn] = []
    raws = content.split(b"\n")
    total = len(raws) if raws[-1] else len(raws) - 1
    for number, raw in enumerate(raws, start=1):
        where = f"{name}:{number}"
        for one in _read_one(raw, name):
            if isinstance(one, BadLine):
                if one.text.startswith("{") or '"action"' in one.text:
                    torn.append(
                        Torn(file=name, where=where, text=one.text[:200], last=number == total)
                    )
            else:
                good.append(JournalEntry(where, one))
    return good, torn


def _read_one(raw: bytes, name: str) -> list[AnyLine | BadLine]:
    return list(read([raw], name))


def _load[T](path: Path, kind: type[T], unread: dict[str, str]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        unread[path.name] = error.strerror or str(error)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        unread[path.name] = str(error)
    return None

"""What the sources left behind, read from the run folder; the only reading the judge does."""

from pathlib import Path
from typing import Any

import msgspec

from resonate_fleet.contract.journal import Acted, BadLine, Line, read
from resonate_fleet.contract.run import Plan, Records, RunFolder


class JournalEntry[L: Line](msgspec.Struct, frozen=True):
    """A journal line and where it stands: what evidence points at."""

    file: str
    number: int
    line: L

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number}"


class Torn(msgspec.Struct, frozen=True, kw_only=True):
    """A journal line that cannot be read; `last` where nothing follows it in its file."""

    file: str
    where: str
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

    def ended_by_hand(self) -> set[str]:
        """Return the jobs that somebody has cancelled or rejected on the steward's page."""
        acts = [entry.line for entry in self.of(Acted) if entry.line.act in ("cancel", "reject")]
        return {job for act in acts for job in act.jobs}


def read_evidence(folder: RunFolder) -> Evidence:
    """Read a run folder. What cannot be read is named in the evidence, never raised."""
    unread: dict[str, str] = {}
    plan = _load(folder.plan, Plan, unread)
    records = _load(folder.server, Records, unread)
    if records is not None and len({one.promise.id for one in records.records}) < len(
        records.records
    ):
        unread[folder.server.name], records = "it has a job twice", None
    lines: list[JournalEntry[Any]] = []
    torn: list[Torn] = []
    for path in sorted(folder.journal.glob("*.jsonl")):
        _read_journal(path.name, path.read_bytes(), lines, torn)
    lines.sort(key=lambda entry: entry.line.at)
    return Evidence(plan=plan, records=records, lines=lines, torn=torn, unread=unread)


def _read_journal(
    name: str, content: bytes, lines: list[JournalEntry[Any]], torn: list[Torn]
) -> None:
    """Add the lines of one journal, and those that cannot be read.

    A journal may be a container's whole log: text that was never a journal line is passed over.
    The very same line once more, its time included, is what a collector of logs delivered twice.
    """
    raws = content.rstrip(b"\n").split(b"\n")
    seen: set[bytes] = set()
    for number, raw in enumerate(raws, start=1):
        if raw in seen:
            continue
        seen.add(raw)
        for one in read([raw], name):
            if not isinstance(one, BadLine):
                lines.append(JournalEntry(name, number, one))
            elif one.text.startswith("{") or '"action"' in one.text:
                torn.append(Torn(file=name, where=f"{name}:{number}", last=number == len(raws)))


def _load[T](path: Path, kind: type[T], unread: dict[str, str]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        unread[path.name] = error.strerror or str(error)
    except msgspec.DecodeError as error:
        unread[path.name] = str(error)
    return None

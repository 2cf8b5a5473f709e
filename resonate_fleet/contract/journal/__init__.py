"""The lines that processes leave behind: what the report reconciles with the server's records.

A journal line is a log line with a fixed set of fields. Every process logs its lines (so that
`docker compose logs` and `kubectl logs` are journals) and, where a journal folder is set, appends
the same line to a file of its own there (contract.recorder).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from resonate_fleet.contract.journal.base import Line
from resonate_fleet.contract.journal.chaos import (
    RunEnded,
    RunStarted,
    StrikeDone,
    StrikeHealed,
    StrikeMissed,
)
from resonate_fleet.contract.journal.client import ClientEnded, ClientStarted, Confirmed
from resonate_fleet.contract.journal.member import (
    Claimed,
    ClaimRefused,
    DrainStep,
    Ended,
    LeaseLost,
    MemberReady,
    MemberStarted,
    MemberStopped,
    Retried,
    ServerBack,
    ServerLost,
    StepBegan,
    StepEnded,
)
from resonate_fleet.contract.journal.steward import (
    Acted,
    Died,
    FalseAlarm,
    HandedOver,
    Joined,
    Left,
    Parked,
    Redriven,
    Rejected,
    StewardStarted,
)

__all__ = [
    "Acted",
    "AnyLine",
    "BadLine",
    "ClaimRefused",
    "Claimed",
    "ClientEnded",
    "ClientStarted",
    "Confirmed",
    "Died",
    "DrainStep",
    "Ended",
    "FalseAlarm",
    "HandedOver",
    "Joined",
    "LeaseLost",
    "Left",
    "Line",
    "MemberReady",
    "MemberStarted",
    "MemberStopped",
    "Parked",
    "Redriven",
    "Rejected",
    "Retried",
    "RunEnded",
    "RunStarted",
    "ServerBack",
    "ServerLost",
    "StepBegan",
    "StepEnded",
    "StewardStarted",
    "StrikeDone",
    "StrikeHealed",
    "StrikeMissed",
    "read",
    "read_folder",
]

AnyLine = (
    MemberStarted | MemberReady | MemberStopped | DrainStep | Claimed | Ended | StepBegan
    | StepEnded | ClaimRefused | LeaseLost | Retried | ServerLost | ServerBack
    | ClientStarted | Confirmed | ClientEnded
    | StewardStarted | Joined | Left | Died | HandedOver | FalseAlarm | Parked | Redriven | Rejected
    | Acted
    | RunStarted | StrikeDone | StrikeMissed | StrikeHealed | RunEnded
)  # fmt: skip


class BadLine(msgspec.Struct, frozen=True):
    """A line that could not be read: cut off, or of a known action with wrong fields."""

    where: str
    text: str


_actions = {t.__struct_config__.tag: t for t in AnyLine.__args__}


def read(lines: Iterable[bytes | str], where: str) -> Iterator[AnyLine | BadLine]:
    """Yield the journal lines among `lines`; other log lines are passed over, broken ones named."""
    for number, raw in enumerate(lines, start=1):
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        if not text.strip():
            continue
        try:
            fields = msgspec.json.decode(text)
        except msgspec.DecodeError:
            yield BadLine(f"{where}:{number}", text.rstrip("\n"))
            continue
        kind = _actions.get(fields.get("action")) if isinstance(fields, dict) else None
        if kind is None:
            continue
        try:
            yield msgspec.convert(fields, kind)
        except msgspec.ValidationError:
            yield BadLine(f"{where}:{number}", text.rstrip("\n"))


def read_folder(folder: Path) -> list[AnyLine | BadLine]:
    """Return all lines of all journals in `folder`, in the order of their times."""
    found: list[AnyLine | BadLine] = []
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as file:
            found.extend(read(file, path.name))
    return sorted(found, key=lambda line: line.at if isinstance(line, Line) else 0.0)

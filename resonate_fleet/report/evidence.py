"""What the sources left behind of a run, read from its folder; the only reading the judge does.

A fleet that was lent to a run has lived before: `of_this_run` leaves out what is not about it.
"""

import math
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from resonate_fleet.contract import journal
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.run import TRAITS, Guarantees, Plan, Records, RunFolder, Traits

#: Clocks of one run may differ by this much, in seconds; on one machine they do not at all.
SLACK = 1.0
#: Why a file is left out that speaks of other jobs than the rest.
OTHER_RUN = "it is of another run"
#: Lines that name a state which lasts until the run.
STANDING = journal.MemberStarted | journal.MemberReady | journal.StewardStarted
#: Lines about one job; another load's jobs may run on the same fleet.
OF_A_JOB = (
    journal.Claimed | journal.Ended | journal.StepBegan | journal.StepEnded
    | journal.LeaseLost | journal.Retried | journal.HandedOver
)  # fmt: skip


class JournalEntry[L: journal.Line](msgspec.Struct, frozen=True):
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


class Evidence(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """All that was found. `unread` names files that are missing or unreadable, and why."""

    plan: Plan | None
    records: Records | None
    lines: list[JournalEntry[Any]]
    torn: list[Torn]
    unread: dict[str, str]

    @cached_property
    def _by_kind(self) -> dict[type, list[JournalEntry[Any]]]:
        found: defaultdict[type, list[JournalEntry[Any]]] = defaultdict(list)
        for entry in self.lines:
            found[type(entry.line)].append(entry)
        return found

    def of[L: journal.Line](self, kind: type[L]) -> list[JournalEntry[L]]:
        """Return the lines of one kind, in the order of their times."""
        return self._by_kind.get(kind, [])

    @property
    def traits(self) -> Traits:
        """What differs at the run's place; at an unknown one effects show on for the longest."""
        if self.plan:
            return TRAITS[self.plan.place]
        return Traits(shows_on=max(one.shows_on for one in TRAITS.values()))

    @property
    def guarantees(self) -> Guarantees:
        return self.plan.guarantees if self.plan else Guarantees()

    def ended_by_hand(self) -> set[str]:
        """Return the jobs that somebody has cancelled or rejected on the steward's page."""
        acts = [entry.line for entry in self.of(journal.Acted)]
        return {job for act in acts if act.act in ("cancel", "reject") for job in act.jobs}


def read_evidence(folder: RunFolder) -> Evidence:
    """Read a run folder. What cannot be read is named in the evidence, never raised."""
    unread: dict[str, str] = {}
    plan = _load(folder.plan, Plan, unread)
    records = _load(folder.server, Records, unread)
    if records and len({one.promise.id for one in records.records}) < len(records.records):
        unread[folder.server.name], records = "it has a job twice", None
    lines: list[JournalEntry[Any]] = []
    torn: list[Torn] = []
    seen: set[bytes] = set()
    for path in sorted(folder.journal.glob("*.jsonl")):
        try:
            _read_journal(path, seen, lines, torn)
        except OSError as error:
            unread[path.name] = error.strerror or str(error)
    lines.sort(key=lambda entry: entry.line.at)
    return Evidence(plan=plan, records=records, lines=lines, torn=torn, unread=unread)


def _read_journal(
    path: Path, seen: set[bytes], lines: list[JournalEntry[Any]], torn: list[Torn]
) -> None:
    """Add the lines of one journal, and those that cannot be read.

    A journal may be a container's whole log: text that was never a journal line is passed over.
    The very same line once more, its time and writer included, is what a collector of logs
    delivered twice, or a copy of the file: what was `seen` in any file counts once.
    """
    name, raws = path.name, path.read_bytes().rstrip(b"\n").split(b"\n")
    for number, raw in enumerate(raws, start=1):
        if raw in seen:
            continue
        seen.add(raw)
        for one in journal.read([raw], name):
            if not isinstance(one, journal.BadLine):
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


def of_this_run(evidence: Evidence) -> Evidence:
    """Keep the lines of the run: from its start on, about its jobs, and who was there then."""
    evidence = _of_one_run(evidence)
    plan, records = evidence.plan, evidence.records
    jobs: set[str] = set()  # that any source counts to this run, where that can be known
    if plan and records:
        jobs = {job.id for job in plan.jobs} | {one.promise.id for one in records.records}
        others = _of_other_runs(evidence, plan, jobs) if evidence.traits.own else set()
        mine = [entry for entry in evidence.lines if entry.file not in others]
        unread = evidence.unread | dict.fromkeys(others, OTHER_RUN)
        evidence = replace(evidence, lines=mine, unread=unread)
        jobs |= {entry.line.job for entry in evidence.of(journal.Confirmed)}
    first = _first_lines(evidence)
    earlier = [entry for entry in evidence.lines if entry.number < first.get(entry.file, math.inf)]
    # A container that was started again writes on in the same file under another name.
    starts = journal.MemberStarted | journal.StewardStarted
    last = {entry.file: entry.line.who for entry in earlier if isinstance(entry.line, starts)}
    stops = [entry for entry in earlier if isinstance(entry.line, journal.MemberStopped)]
    present = set(last.values()) - {entry.line.who for entry in stops}
    kept = [one for one in earlier if isinstance(one.line, STANDING) and one.line.who in present]
    kept += [
        entry
        for entry in evidence.lines
        if entry.number >= first.get(entry.file, math.inf)
        and not (jobs and isinstance(entry.line, OF_A_JOB) and entry.line.job not in jobs)
    ]
    return replace(evidence, lines=kept)


def _of_one_run(evidence: Evidence) -> Evidence:
    """Leave out a plan, or records, that have none of the jobs that all others speak of."""
    plan, records = evidence.plan, evidence.records
    confirmed = {entry.line.job for entry in evidence.of(journal.Confirmed)}
    planned = {job.id for job in plan.jobs} if plan else set()
    known = {one.promise.id for one in records.records} if records else set()
    if planned & confirmed and known and not known & (planned | confirmed):
        return replace(evidence, records=None, unread=evidence.unread | {"server.json": OTHER_RUN})
    if known & confirmed and planned and not planned & (known | confirmed):
        return replace(evidence, plan=None, unread=evidence.unread | {"plan.json": OTHER_RUN})
    return evidence


def _first_lines(evidence: Evidence) -> dict[str, int]:
    """Return the number of each file's first line of the run.

    What stands after it is of the run whatever its date says: a clock may be wrong. A fleet that
    was made for the run has done nothing before.
    """
    begin, runs = -math.inf, evidence.of(journal.RunStarted)
    if runs and not evidence.traits.own:
        starts = [*runs, *evidence.of(journal.ClientStarted)]
        begin = min(entry.line.at for entry in starts) - SLACK
    first: dict[str, int] = {}
    for entry in evidence.lines:
        if entry.line.at >= begin:
            first[entry.file] = min(first.get(entry.file, entry.number), entry.number)
    return first


def _of_other_runs(evidence: Evidence, plan: Plan, known: set[str]) -> set[str]:
    """Return journals of another run, by its scenario or since all their jobs are unknown here."""
    jobs: defaultdict[str, set[str]] = defaultdict(set)
    for entry in evidence.lines:
        if isinstance(entry.line, OF_A_JOB | journal.Confirmed):
            jobs[entry.file].add(root_of(entry.line.job))
    runs = {
        entry.file
        for entry in evidence.of(journal.RunStarted)
        if (entry.line.scenario, entry.line.seed) != (plan.scenario, plan.seed)
    }
    return runs | {file for file, named in jobs.items() if not named & known}

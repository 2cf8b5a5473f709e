"""Which journal lines are about this run: a fleet that was lent to it has lived before. Pure."""

from typing import Any

from resonate_fleet.contract.journal import (
    Claimed,
    Confirmed,
    Ended,
    HandedOver,
    LeaseLost,
    MemberReady,
    MemberStarted,
    MemberStopped,
    Retried,
    RunStarted,
    StepBegan,
    StepEnded,
    StewardStarted,
)
from resonate_fleet.contract.run import Plan, Records
from resonate_fleet.report.entries import JournalEntry

#: Clocks of one run may differ by this much, in seconds.
SLACK = 1.0
#: Lines that tell of a state which lasts until the run.
STANDING = (MemberStarted, MemberReady, StewardStarted)
#: Lines about one job; another load's jobs may run on the same fleet.
OF_A_JOB = (Claimed, Ended, StepBegan, StepEnded, LeaseLost, Retried, HandedOver)


def of_this_run(
    lines: list[JournalEntry[Any]], plan: Plan | None, records: Records | None
) -> list[JournalEntry[Any]]:
    """Return the lines of the run: from its start on, about its jobs, and who was there then."""
    starts = [entry.line.at for entry in lines if isinstance(entry.line, RunStarted)]
    first = _first_lines(lines, min(starts) - SLACK if starts else float("-inf"))
    earlier = [entry for entry in lines if _number(entry) < first[_file(entry)]]
    there, jobs = _there(earlier), _jobs(lines, plan, records)
    kept = [
        entry for entry in earlier if isinstance(entry.line, STANDING) and entry.line.who in there
    ]
    return kept + [
        entry
        for entry in lines
        if _number(entry) >= first[_file(entry)]
        and not (jobs and isinstance(entry.line, OF_A_JOB) and entry.line.job not in jobs)
    ]


def _file(entry: JournalEntry[Any]) -> str:
    return entry.where.rpartition(":")[0]


def _number(entry: JournalEntry[Any]) -> int:
    return int(entry.where.rpartition(":")[2])


def _first_lines(lines: list[JournalEntry[Any]], begin: float) -> dict[str, float]:
    """Return the number of each file's first line of the run.

    What stands after it is of the run whatever its date says: a clock may be wrong.
    """
    first: dict[str, float] = {_file(entry): float("inf") for entry in lines}
    for entry in lines:
        if entry.line.at >= begin:
            first[_file(entry)] = min(first[_file(entry)], _number(entry))
    return first


def _there(earlier: list[JournalEntry[Any]]) -> set[str]:
    """Return who wrote before the run and was still there when it began.

    A container that was started again writes on in the same file under another name.
    """
    last = {
        _file(entry): entry.line.who
        for entry in earlier
        if isinstance(entry.line, MemberStarted | StewardStarted)
    }
    gone = {entry.line.who for entry in earlier if isinstance(entry.line, MemberStopped)}
    return set(last.values()) - gone


def _jobs(lines: list[JournalEntry[Any]], plan: Plan | None, records: Records | None) -> set[str]:
    """Return the jobs that any source counts to this run; nothing where that cannot be told."""
    if plan is None or records is None:
        return set()
    planned = {job.id for job in plan.jobs}
    kept = {record.promise.id for record in records.records}
    return planned | kept | {entry.line.job for entry in lines if isinstance(entry.line, Confirmed)}

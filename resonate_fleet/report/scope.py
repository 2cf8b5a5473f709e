"""Which journal lines are about this run: a fleet that was lent to it has lived before. Pure."""

from typing import Any

from msgspec.structs import replace

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
from resonate_fleet.report.evidence import Evidence, JournalEntry

#: Clocks of one run may differ by this much, in seconds.
SLACK = 1.0
#: Lines that name a state which lasts until the run.
STANDING = (MemberStarted, MemberReady, StewardStarted)
#: Lines about one job; another load's jobs may run on the same fleet.
OF_A_JOB = (Claimed, Ended, StepBegan, StepEnded, LeaseLost, Retried, HandedOver)


def of_this_run(evidence: Evidence) -> Evidence:
    """Keep the lines of the run: from its start on, about its jobs, and who was there then."""
    first = _first_lines(evidence)
    earlier = [entry for entry in evidence.lines if entry.number < first[entry.file]]
    present, jobs = _present(earlier), _jobs(evidence)
    kept = [
        entry for entry in earlier if isinstance(entry.line, STANDING) and entry.line.who in present
    ]
    kept += [
        entry
        for entry in evidence.lines
        if entry.number >= first[entry.file]
        and not (jobs and isinstance(entry.line, OF_A_JOB) and entry.line.job not in jobs)
    ]
    return replace(evidence, lines=kept)


def _first_lines(evidence: Evidence) -> dict[str, float]:
    """Return the number of each file's first line of the run.

    What stands after it is of the run whatever its date says: a clock may be wrong.
    """
    starts = [entry.line.at - SLACK for entry in evidence.of(RunStarted)]
    begin = min(starts, default=float("-inf"))
    first: dict[str, float] = {}
    for entry in evidence.lines:
        number = entry.number if entry.line.at >= begin else float("inf")
        first[entry.file] = min(first.get(entry.file, number), number)
    return first


def _present(earlier: list[JournalEntry[Any]]) -> set[str]:
    """Return who wrote before the run and was still there when it began.

    A container that was started again writes on in the same file under another name.
    """
    last = {
        entry.file: entry.line.who
        for entry in earlier
        if isinstance(entry.line, MemberStarted | StewardStarted)
    }
    stopped = {entry.line.who for entry in earlier if isinstance(entry.line, MemberStopped)}
    return set(last.values()) - stopped


def _jobs(evidence: Evidence) -> set[str]:
    """Return the jobs that any source counts to this run; nothing where that cannot be known."""
    plan, records = evidence.plan, evidence.records
    if plan is None or records is None:
        return set()
    planned = {job.id for job in plan.jobs}
    kept = {record.promise.id for record in records.records}
    return planned | kept | {entry.line.job for entry in evidence.of(Confirmed)}

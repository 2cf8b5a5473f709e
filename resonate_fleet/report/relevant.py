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
from resonate_fleet.report.seen import Seen

#: Clocks of one run may differ by this much, in seconds.
SLACK = 1.0
#: Lines that tell of a state which lasts until the run.
STANDING = (MemberStarted, MemberReady, StewardStarted)
#: Lines about one job; another load's jobs may run on the same fleet.
OF_A_JOB = (Claimed, Ended, StepBegan, StepEnded, LeaseLost, Retried, HandedOver)


def of_this_run(
    lines: list[Seen[Any]], plan: Plan | None, records: Records | None
) -> list[Seen[Any]]:
    """Return the lines of the run: from its start on, about its jobs, and who was there then."""
    starts = [seen.line.at for seen in lines if isinstance(seen.line, RunStarted)]
    first = _first_lines(lines, min(starts) - SLACK if starts else float("-inf"))
    earlier = [seen for seen in lines if _number(seen) < first[_file(seen)]]
    there, jobs = _there(earlier), _jobs(lines, plan, records)
    kept = [seen for seen in earlier if isinstance(seen.line, STANDING) and seen.line.who in there]
    return kept + [
        seen
        for seen in lines
        if _number(seen) >= first[_file(seen)]
        and not (jobs and isinstance(seen.line, OF_A_JOB) and seen.line.job not in jobs)
    ]


def _file(seen: Seen[Any]) -> str:
    return seen.where.rpartition(":")[0]


def _number(seen: Seen[Any]) -> int:
    return int(seen.where.rpartition(":")[2])


def _first_lines(lines: list[Seen[Any]], begin: float) -> dict[str, float]:
    """Return the number of each file's first line of the run.

    What stands after it is of the run whatever its date says: a clock may be wrong.
    """
    first: dict[str, float] = {_file(seen): float("inf") for seen in lines}
    for seen in lines:
        if seen.line.at >= begin:
            first[_file(seen)] = min(first[_file(seen)], _number(seen))
    return first


def _there(earlier: list[Seen[Any]]) -> set[str]:
    """Return who wrote before the run and was still there when it began.

    A container that was started again writes on in the same file under another name.
    """
    last = {
        _file(seen): seen.line.who
        for seen in earlier
        if isinstance(seen.line, MemberStarted | StewardStarted)
    }
    gone = {seen.line.who for seen in earlier if isinstance(seen.line, MemberStopped)}
    return set(last.values()) - gone


def _jobs(lines: list[Seen[Any]], plan: Plan | None, records: Records | None) -> set[str]:
    """Return the jobs that any witness counts to this run; nothing where that cannot be told."""
    if plan is None or records is None:
        return set()
    planned = {job.id for job in plan.jobs}
    kept = {record.promise.id for record in records.records}
    return planned | kept | {seen.line.job for seen in lines if isinstance(seen.line, Confirmed)}

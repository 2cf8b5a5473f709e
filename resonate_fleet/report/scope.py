"""Which journal lines are about this run: a fleet that was lent to it has lived before. Pure."""

from collections import defaultdict
from typing import Any

from msgspec.structs import replace

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.journal import (
    Claimed,
    ClientStarted,
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
from resonate_fleet.contract.run import TRAITS
from resonate_fleet.report.evidence import Evidence, JournalEntry

#: Clocks of one run may differ by this much, in seconds.
SLACK = 1.0
#: Lines that name a state which lasts until the run.
STANDING = (MemberStarted, MemberReady, StewardStarted)
#: Lines about one job; another load's jobs may run on the same fleet.
OF_A_JOB = (Claimed, Ended, StepBegan, StepEnded, LeaseLost, Retried, HandedOver)


def of_this_run(evidence: Evidence) -> Evidence:
    """Keep the lines of the run: from its start on, about its jobs, and who was there then."""
    if others := _of_other_runs(evidence):
        mine = [entry for entry in evidence.lines if entry.file not in others]
        unread = dict.fromkeys(others, "it is of another run")
        evidence = replace(evidence, lines=mine, unread=evidence.unread | unread)
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

    What stands after it is of the run whatever its date says: a clock may be wrong. So is a line
    about one of its jobs, where no other run can have had the same.
    """
    own = evidence.plan is not None and TRAITS[evidence.plan.place].own
    jobs = _jobs(evidence) if own else set()
    starts = [entry.line.at - SLACK for entry in evidence.of(RunStarted)]
    starts += [entry.line.at - SLACK for entry in evidence.of(ClientStarted) if starts]
    begin = min(starts, default=float("-inf"))
    first: dict[str, float] = {}
    for entry in evidence.lines:
        mine = isinstance(entry.line, OF_A_JOB) and entry.line.job in jobs
        number = entry.number if mine or entry.line.at >= begin else float("inf")
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


def _of_other_runs(evidence: Evidence) -> set[str]:
    """Return journals of another run, by its scenario or since all their jobs are unknown here."""
    plan, records = evidence.plan, evidence.records
    if plan is None or records is None or not TRAITS[plan.place].own:
        return set()
    known = {job.id for job in plan.jobs} | {one.promise.id for one in records.records}
    jobs: defaultdict[str, set[str]] = defaultdict(set)
    for entry in evidence.lines:
        if isinstance(entry.line, (*OF_A_JOB, Confirmed)):
            jobs[entry.file].add(root_of(entry.line.job))
    runs = {
        entry.file
        for entry in evidence.of(RunStarted)
        if (entry.line.scenario, entry.line.seed) != (plan.scenario, plan.seed)
    }
    return runs | {file for file, named in jobs.items() if not named & known}

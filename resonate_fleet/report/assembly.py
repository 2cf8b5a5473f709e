"""Turns evidence into facts. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.journal import (
    Claimed,
    Confirmed,
    Died,
    DrainStep,
    Ended,
    HandedOver,
    LeaseLost,
    MemberReady,
    MemberStarted,
    MemberStopped,
    Parked,
    StepBegan,
    StepEnded,
    StrikeDone,
    StrikeHealed,
)
from resonate_fleet.contract.run import PlannedJob, Record
from resonate_fleet.report.accepted import accepted, with_results
from resonate_fleet.report.coverage import coverage_of
from resonate_fleet.report.entries import JournalEntry
from resonate_fleet.report.evidence import Evidence
from resonate_fleet.report.facts import (
    CUT,
    DEADLY,
    FREEZING,
    OPEN,
    AttemptFacts,
    Facts,
    JobFacts,
    MemberFacts,
    ParkingFacts,
    StepFacts,
    StrikeFacts,
    job_of,
    shows_on,
    span,
    strike_of,
)

#: Lines that only a member writes.
BY_A_MEMBER = (MemberStarted, MemberReady, MemberStopped, DrainStep, Claimed, Ended, LeaseLost)


def facts_of(evidence: Evidence) -> Facts:
    """Return everything that the sources say, ordered by member, task and job."""
    strikes = _strikes(evidence)
    members = _members(evidence, strikes)
    records = evidence.records.records if evidence.records else []
    members = with_results(members, accepted(evidence, records))
    tasks = _tasks(members.values())
    jobs = _jobs(evidence, records, tasks)
    settled = [job.settled for job in jobs.values() if job.settled is not None]
    began, ended = span(evidence, settled)
    handed = {(one.line.task, one.line.attempt): one for one in evidence.of(HandedOver)}
    facts = Facts(
        evidence=evidence,
        members=members,
        strikes=strikes,
        jobs=jobs,
        children={one.promise.id: one for one in records if one.promise.id not in jobs},
        tasks=tasks,
        handed_over=handed,
        began=began,
        ended=ended,
        parkings=[
            ParkingFacts(
                job=one.line.job,
                at=one.line.at,
                crashes=one.line.crashes,
                members=one.line.members,
                where=one.where,
            )
            for one in evidence.of(Parked)
        ],
    )
    return replace(facts, coverage=coverage_of(facts))


def _strikes(evidence: Evidence) -> list[StrikeFacts]:
    healings = evidence.of(StrikeHealed)
    taken: set[int] = set()
    strikes: list[StrikeFacts] = []
    for entry in evidence.of(StrikeDone):
        healing = None
        for index, heal in enumerate(healings):
            same = (heal.line.strike, heal.line.fault) == (entry.line.strike, entry.line.fault)
            if same and index not in taken and heal.line.at >= entry.line.at:
                taken.add(index)
                healing = heal.line
                break
        strikes.append(strike_of(entry, healing))
    return strikes


def _members(evidence: Evidence, strikes: list[StrikeFacts]) -> dict[str, MemberFacts]:
    by_writer: defaultdict[str, list[JournalEntry[Any]]] = defaultdict(list)
    for entry in evidence.lines:
        by_writer[entry.line.who].append(entry)
    deaths = _deaths(evidence)
    return {
        who: _member(who, lines, [one for one in strikes if one.target == who], deaths, evidence)
        for who, lines in by_writer.items()
        if any(isinstance(entry.line, BY_A_MEMBER) for entry in lines)
    }


def _deaths(evidence: Evidence) -> dict[str, float]:
    """When each member's presence ended, by the steward."""
    deaths = {entry.line.member: entry.line.at for entry in evidence.of(Died)}
    for entry in evidence.of(HandedOver):
        ended = entry.line.at - entry.line.seconds
        deaths[entry.line.member] = min(deaths.get(entry.line.member, ended), ended)
    return deaths


def _member(
    who: str,
    lines: list[JournalEntry[Any]],
    strikes: list[StrikeFacts],
    deaths: dict[str, float],
    evidence: Evidence,
) -> MemberFacts:
    first = _first(lines, MemberStarted)
    ready, stopped = _first(lines, MemberReady), _first(lines, MemberStopped)
    last = lines[-1].line.at
    plan = evidence.plan
    died = _died(strikes, deaths.get(who), last, shows_on(plan))
    if stopped is not None and not any(one.fault in DEADLY for one in strikes):
        died = None
    return MemberFacts(
        name=who,
        group=first.line.group if first else "",
        slots=first.line.slots if first else plan.slots if plan else 1,
        started=lines[0].line.at,
        ready=ready.line.at if ready else None,
        stopped=stopped.line.at if stopped else None,
        died=died,
        last=last,
        attempts=_attempts(who, lines, died),
        lines=[(entry.line.at, entry.where) for entry in lines],
        frozen=[(one.at, one.healed or last) for one in strikes if one.fault in FREEZING],
        announced=first is not None,
    )


def _died(
    strikes: list[StrikeFacts], presence: float | None, last: float, shows_on: float
) -> float | None:
    """Return when the member died: as its presence ended, or else when a strike had killed it.

    A presence that ended long before the last line is that of a member which lived on.
    """
    killed = [one for one in strikes if one.fault in DEADLY]
    if not killed:
        lived_on = presence is None or last > presence + shows_on
        return None if lived_on or presence is None else max(presence, last)
    first = min(killed, key=lambda one: one.at)
    entry = presence is not None and first.asked <= presence <= first.at
    died = presence if entry and presence is not None else first.at
    return max(died, last) if last <= first.at + shows_on else died


def _first(lines: list[JournalEntry[Any]], kind: type) -> JournalEntry[Any] | None:
    return next((entry for entry in lines if type(entry.line) is kind), None)


def _attempts(who: str, lines: list[JournalEntry[Any]], died: float | None) -> list[AttemptFacts]:
    ends: dict[tuple[str, int], JournalEntry[Ended]] = {}
    steps = _steps(lines)
    for entry in lines:
        if type(entry.line) is Ended:
            ends.setdefault((entry.line.task, entry.line.attempt), entry)
    last = lines[-1].line.at
    found: list[AttemptFacts] = []
    for entry in lines:
        if type(entry.line) is Claimed:
            key = (entry.line.task, entry.line.attempt)
            found.append(_attempt(who, entry, ends.get(key), died, last))
    return [_with_steps(one, steps.get((one.job, one.number), [])) for one in found]


def _attempt(
    who: str,
    claim: JournalEntry[Claimed],
    end: JournalEntry[Ended] | None,
    died: float | None,
    last: float,
) -> AttemptFacts:
    line = claim.line
    until = end.line.at if end else max(died or last, line.at)
    return AttemptFacts(
        job=line.job,
        task=line.task,
        number=line.attempt,
        member=who,
        function=line.function,
        began=line.at,
        until=until,
        outcome=end.line.outcome if end else OPEN if died is None else CUT,
        seconds=end.line.seconds if end else until - line.at,
        where=claim.where,
        end_where=end.where if end else None,
        waited=line.waited,
        error=end.line.error if end else "",
    )


def _steps(lines: list[JournalEntry[Any]]) -> dict[tuple[str, int], list[StepFacts]]:
    ended = {
        (entry.line.promise, entry.line.attempt): entry.line.at
        for entry in lines
        if type(entry.line) is StepEnded
    }
    steps: defaultdict[tuple[str, int], list[StepFacts]] = defaultdict(list)
    for entry in lines:
        if type(entry.line) is StepBegan:
            line = entry.line
            end = ended.get((line.promise, line.attempt))
            step = StepFacts(promise=line.promise, began=line.at, ended=end, where=entry.where)
            steps[line.job, line.attempt].append(step)
    return steps


def _with_steps(attempt: AttemptFacts, steps: list[StepFacts]) -> AttemptFacts:
    if attempt.task != attempt.job or not steps:
        return attempt
    return replace(attempt, steps=steps)


def _tasks(members: Iterable[MemberFacts]) -> dict[str, list[AttemptFacts]]:
    tasks: defaultdict[str, list[AttemptFacts]] = defaultdict(list)
    for member in members:
        for attempt in member.attempts:
            tasks[attempt.task].append(attempt)
    for attempts in tasks.values():
        attempts.sort(key=lambda one: (one.number, one.began))
    return dict(tasks)


def _jobs(
    evidence: Evidence, records: list[Record], tasks: dict[str, list[AttemptFacts]]
) -> dict[str, JobFacts]:
    planned: dict[str, PlannedJob] = {}
    if evidence.plan:
        planned = {job.id: job for job in evidence.plan.jobs}
    confirmed: defaultdict[str, list[JournalEntry[Confirmed]]] = defaultdict(list)
    for entry in evidence.of(Confirmed):
        confirmed[entry.line.job].append(entry)
    known = {one.promise.id: one for one in records}
    roots = (one for one in known if root_of(one) == one)
    claimed = (root_of(task) for task in tasks)
    ids = dict.fromkeys([*planned, *confirmed, *roots, *claimed])
    return {
        job: job_of(
            job, planned.get(job), confirmed.get(job, []), known.get(job), tasks.get(job, [])
        )
        for job in ids
    }

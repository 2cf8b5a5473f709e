"""Turns evidence into facts. Pure."""

from collections import defaultdict
from typing import Any

from msgspec.structs import replace

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import result_of
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
    StepBegan,
    StepEnded,
    StrikeDone,
    StrikeHealed,
)
from resonate_fleet.contract.run import DEADLY, FREEZING, PlannedJob, Record
from resonate_fleet.contract.wire import Promise
from resonate_fleet.report.coverage import coverage_of
from resonate_fleet.report.evidence import Evidence, JournalEntry
from resonate_fleet.report.facts import (
    CUT,
    FINAL,
    OPEN,
    AttemptFacts,
    Facts,
    JobFacts,
    MemberFacts,
    StepFacts,
    StrikeFacts,
    shows_on,
)
from resonate_fleet.report.scope import of_this_run

#: Lines that only a member writes.
BY_A_MEMBER = (MemberStarted, MemberReady, MemberStopped, DrainStep, Claimed, Ended, LeaseLost)
#: Outcomes by which a member means that nothing was written; only the server knows.
UNSURE = ("lost", "refused")


def facts_of(everything: Evidence) -> Facts:
    """Return everything that the sources say of the run, ordered by member, task and job."""
    evidence = of_this_run(everything)
    records = evidence.records.records if evidence.records else []
    strikes = _strikes(evidence)
    members = _members(evidence, strikes, _written(evidence, records))
    tasks: defaultdict[str, list[AttemptFacts]] = defaultdict(list)
    for attempt in (one for member in members.values() for one in member.attempts):
        tasks[attempt.task].append(attempt)
    for attempts in tasks.values():
        attempts.sort(key=lambda one: (one.number, one.began))
    jobs = _jobs(evidence, records, tasks)
    began, ended = _span(evidence, jobs)
    facts = Facts(
        evidence=evidence,
        members=members,
        strikes=strikes,
        jobs=jobs,
        children={one.promise.id: one for one in records if one.promise.id not in jobs},
        tasks=dict(tasks),
        handed_over={(one.line.task, one.line.attempt): one for one in evidence.of(HandedOver)},
        began=began,
        ended=ended,
    )
    return replace(facts, coverage=coverage_of(facts))


def _span(evidence: Evidence, jobs: dict[str, JobFacts]) -> tuple[float, float]:
    """Return when the load began and when the last job ended (or the last line was written)."""
    lines = [entry.line.at for entry in evidence.lines] or [0.0]
    first = min((entry.line.at for entry in evidence.of(Confirmed)), default=min(lines))
    settled = [job.settled for job in jobs.values() if job.settled is not None]
    return first, max(first, max(settled, default=max(lines)))


def _strikes(evidence: Evidence) -> list[StrikeFacts]:
    """Return each strike with the healing that followed it first."""
    healings = [entry.line for entry in evidence.of(StrikeHealed)]
    strikes: list[StrikeFacts] = []
    for entry in evidence.of(StrikeDone):
        line, heal = entry.line, None
        for one in healings:
            if (one.strike, one.fault) == (line.strike, line.fault) and one.at >= line.at:
                healings.remove(heal := one)
                break
        strike = StrikeFacts(
            number=line.strike,
            fault=line.fault,
            target=line.target,
            job=line.job,
            part=line.part,
            asked=line.asked or line.at,
            at=line.at,
            healing=(heal.asked or heal.at) if heal else None,
            healed=heal.at if heal else None,
            held=line.held,
            where=entry.where,
        )
        strikes.append(strike)
    return strikes


#: The settled promise of each task and claim that brought it, by the server.
Written = dict[tuple[str, int], Promise]


def _written(evidence: Evidence, records: list[Record]) -> Written:
    """Return the settled promise of each task's last claim, but for those ended by hand."""
    by_hand = evidence.ended_by_hand()
    return {
        (one.promise.id, one.task.version): one.promise
        for one in records
        if one.task and one.promise.state in FINAL and one.promise.id not in by_hand
    }


def _members(
    evidence: Evidence, strikes: list[StrikeFacts], written: Written
) -> dict[str, MemberFacts]:
    by_writer: defaultdict[str, list[JournalEntry[Any]]] = defaultdict(list)
    for entry in evidence.lines:
        by_writer[entry.line.who].append(entry)
    deaths = _deaths(evidence)
    members: dict[str, MemberFacts] = {}
    for who, lines in by_writer.items():
        if any(isinstance(entry.line, BY_A_MEMBER) for entry in lines):
            mine = [one for one in strikes if one.target == who]
            died = _died(evidence, lines, mine, deaths.get(who))
            attempts = _attempts(who, lines, died, written)
            members[who] = _member(evidence, lines, mine, died, attempts)
    return members


def _deaths(evidence: Evidence) -> dict[str, float]:
    """When each member's presence ended, by the steward."""
    deaths = {entry.line.member: entry.line.at for entry in evidence.of(Died)}
    for entry in evidence.of(HandedOver):
        ended = entry.line.at - entry.line.seconds
        deaths[entry.line.member] = min(deaths.get(entry.line.member, ended), ended)
    return deaths


def _member(
    evidence: Evidence,
    lines: list[JournalEntry[Any]],
    strikes: list[StrikeFacts],
    died: float | None,
    attempts: list[AttemptFacts],
) -> MemberFacts:
    first, last, plan = _first(lines, MemberStarted), lines[-1].line.at, evidence.plan
    ready, stopped = _first(lines, MemberReady), _first(lines, MemberStopped)
    return MemberFacts(
        name=lines[0].line.who,
        slots=first.slots if first else plan.slots if plan else 1,
        started=lines[0].line.at,
        ready=ready.at if ready else None,
        stopped=stopped.at if stopped else None,
        died=died,
        attempts=attempts,
        lines=lines,
        frozen=[(one.at, one.healed or last) for one in strikes if one.fault in FREEZING],
    )


def _died(
    evidence: Evidence,
    lines: list[JournalEntry[Any]],
    strikes: list[StrikeFacts],
    presence: float | None,
) -> float | None:
    """Return when the member died: as its presence ended, or else when a strike had killed it.

    A presence that ended long before the last line is that of a member which lived on.
    """
    last, slack = lines[-1].line.at, shows_on(evidence.plan)
    killed = [one for one in strikes if one.fault in DEADLY]
    if not killed:
        lived_on = presence is None or last > presence + slack or _first(lines, MemberStopped)
        return None if lived_on or presence is None else max(presence, last)
    first = min(killed, key=lambda one: one.at)
    died = first.at
    if presence is not None and first.asked <= presence <= first.at:
        died = presence
    return max(died, last) if last <= first.at + slack else died


def _first(lines: list[JournalEntry[Any]], kind: type) -> Any:
    return next((entry.line for entry in lines if type(entry.line) is kind), None)


def _attempts(
    who: str, lines: list[JournalEntry[Any]], died: float | None, written: Written
) -> list[AttemptFacts]:
    ends: dict[tuple[str, int], JournalEntry[Ended]] = {}
    for entry in lines:
        if type(entry.line) is Ended:
            ends.setdefault((entry.line.task, entry.line.attempt), entry)
    steps, last = _steps(lines), lines[-1].line.at
    found: list[AttemptFacts] = []
    for entry in lines:
        if type(entry.line) is not Claimed:
            continue
        line, end = entry.line, ends.get((entry.line.task, entry.line.attempt))
        until = end.line.at if end else max(died or last, line.at)
        own = line.task == line.job
        attempt = AttemptFacts(
            job=line.job,
            task=line.task,
            number=line.attempt,
            member=who,
            function=line.function,
            began=line.at,
            until=until,
            outcome=end.line.outcome if end else OPEN if died is None else CUT,
            seconds=end.line.seconds if end else until - line.at,
            where=entry.where,
            end_where=end.where if end else None,
            error=end.line.error if end else "",
            writing=end.line.writing if end else 0.0,
            steps=steps[line.job, line.attempt] if own else [],
        )
        found.append(_as_written(attempt, written))
    return found


def _as_written(one: AttemptFacts, written: Written) -> AttemptFacts:
    """Correct an attempt that stands as lost although the server accepted what it wrote."""
    promise = written.get((one.task, one.number))
    if promise is None or one.outcome not in UNSURE:
        return one
    result = result_of(promise)
    mine = result is None or result.member == one.member
    return replace(one, outcome=promise.state) if mine else one


def _steps(lines: list[JournalEntry[Any]]) -> defaultdict[tuple[str, int], list[StepFacts]]:
    steps: defaultdict[tuple[str, int], list[StepFacts]] = defaultdict(list)
    ended = {
        (entry.line.promise, entry.line.attempt): entry.line.at
        for entry in lines
        if type(entry.line) is StepEnded
    }
    for entry in lines:
        if type(entry.line) is StepBegan:
            line = entry.line
            end = ended.get((line.promise, line.attempt))
            step = StepFacts(promise=line.promise, began=line.at, ended=end, where=entry.where)
            steps[line.job, line.attempt].append(step)
    return steps


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
    roots = [one for one in known if root_of(one) == one]
    ids = dict.fromkeys([*planned, *confirmed, *roots, *map(root_of, tasks)])
    return {
        job: JobFacts(
            id=job,
            planned=planned.get(job),
            confirmed=confirmed.get(job, []),
            record=known.get(job),
            result=result_of(known[job].promise) if job in known else None,
            attempts=tasks.get(job, []),
        )
        for job in ids
    }

"""Turns evidence into facts. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from msgspec.structs import asdict, replace

from resonate_fleet.contract import journal
from resonate_fleet.contract.calls import result_of
from resonate_fleet.contract.faults import DEADLY, FREEZING
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.run import Record
from resonate_fleet.contract.wire import Promise
from resonate_fleet.report.coverage import coverage_of
from resonate_fleet.report.evidence import Evidence, JournalEntry, of_this_run
from resonate_fleet.report.facts import (
    CUT,
    FINAL,
    OPEN,
    AttemptFacts,
    Coverage,
    Facts,
    JobFacts,
    MemberFacts,
    StepFacts,
    StrikeFacts,
)
from resonate_fleet.report.recoveries import recoveries

#: Lines that only a member writes.
BY_A_MEMBER = (
    journal.MemberStarted, journal.MemberReady, journal.MemberStopped, journal.DrainStep,
    journal.Claimed, journal.Ended, journal.LeaseLost,
)  # fmt: skip
#: Outcomes by which a member believes that nothing was written; only the server knows.
UNSURE = ("lost", "refused")
Written = dict[tuple[str, int], Promise]


def facts_of(everything: Evidence) -> Facts:
    """Return everything that the sources say of the run, ordered by member, task and job."""
    evidence = of_this_run(everything)
    records = evidence.records.records if evidence.records else []
    strikes = _strikes(evidence)
    by_hand = evidence.ended_by_hand()
    # The settled promise of each task, by the claim that brought it.
    written = {
        (one.promise.id, one.task.version): one.promise
        for one in records
        if one.task and one.promise.state in FINAL and one.promise.id not in by_hand
    }
    members = _members(evidence, strikes, written)
    tasks = _by_task(members.values())
    jobs = _jobs(evidence, records, tasks)
    lines = [entry.line.at for entry in evidence.lines] or [0.0]
    began = min((job.created for job in jobs.values() if job.created), default=min(lines))
    settled = [job.settled for job in jobs.values() if job.settled is not None]
    handed = evidence.of(journal.HandedOver)
    facts = Facts(
        evidence=evidence,
        members=members,
        strikes=strikes,
        jobs=jobs,
        children={one.promise.id: one for one in records if one.promise.id not in jobs},
        tasks=tasks,
        handed_over={(one.line.task, one.line.attempt): one for one in handed},
        began=began,
        ended=max(began, max(settled, default=max(lines))),
        coverage=Coverage(),
        recoveries=[],
    )
    return replace(facts, coverage=coverage_of(facts), recoveries=recoveries(facts))


def _by_task(members: Iterable[MemberFacts]) -> dict[str, list[AttemptFacts]]:
    """Return the attempts of each task in their order."""
    tasks: defaultdict[str, list[AttemptFacts]] = defaultdict(list)
    for attempt in (one for member in members for one in member.attempts):
        tasks[attempt.task].append(attempt)
    for attempts in tasks.values():
        attempts.sort(key=lambda one: (one.number, one.began))
    return dict(tasks)


def _strikes(evidence: Evidence) -> list[StrikeFacts]:
    """Return each strike with the first healing that followed it."""
    healings = [entry.line for entry in evidence.of(journal.StrikeHealed)]
    strikes: list[StrikeFacts] = []
    for entry in evidence.of(journal.StrikeDone):
        line = entry.line
        same = [one for one in healings if (one.strike, one.fault) == (line.strike, line.fault)]
        heal = next((one for one in same if one.at >= line.at), None)
        if heal:
            healings.remove(heal)
        healing = (heal.asked or heal.at) if heal else None
        said = asdict(line) | {"asked": line.asked or line.at, "where": entry.where}
        strike = StrikeFacts(**said, healing=healing, healed=heal.at if heal else None)
        strikes.append(strike)
    return strikes


def _members(
    evidence: Evidence, strikes: list[StrikeFacts], written: Written
) -> dict[str, MemberFacts]:
    by_writer: defaultdict[str, list[JournalEntry[Any]]] = defaultdict(list)
    for entry in evidence.lines:
        by_writer[entry.line.who].append(entry)
    plan, deaths = evidence.plan, _deaths(evidence)
    members: dict[str, MemberFacts] = {}
    for who, lines in by_writer.items():
        first: dict[type, Any] = {type(entry.line): entry.line for entry in reversed(lines)}
        if first.keys().isdisjoint(BY_A_MEMBER):
            continue
        mine = [one for one in strikes if one.target == who]
        started, ready = first.get(journal.MemberStarted), first.get(journal.MemberReady)
        stopped, last = first.get(journal.MemberStopped), lines[-1].line.at
        presence = None if stopped else deaths.get(who)
        died = _died(mine, last, presence, evidence.traits.shows_on)
        members[who] = MemberFacts(
            name=who,
            slots=started.slots if started else plan.slots if plan else 1,
            started=lines[0].line.at,
            ready=ready.at if ready else None,
            stopped=stopped.at if stopped else None,
            died=died,
            attempts=_attempts(replace(evidence, lines=lines), died, written),
            lines=lines,
            frozen=[(one.at, one.healed or last) for one in mine if one.fault in FREEZING],
        )
    return members


def _deaths(evidence: Evidence) -> dict[str, float]:
    """When each member's presence ended, by the steward."""
    deaths = {entry.line.member: entry.line.at for entry in evidence.of(journal.Died)}
    for entry in evidence.of(journal.HandedOver):
        ended = entry.line.at - entry.line.seconds
        deaths[entry.line.member] = min(deaths.get(entry.line.member, ended), ended)
    return deaths


def _died(
    strikes: list[StrikeFacts], last: float, presence: float | None, shows_on: float
) -> float | None:
    """Return when the member died: as its presence ended, or else when a strike had killed it.

    A presence that ended long before the `last` line is that of a member which lived on.
    """
    killed = [one for one in strikes if one.fault in DEADLY]
    if not killed:
        lived_on = presence is None or last > presence + shows_on
        return None if lived_on or presence is None else max(presence, last)
    first = min(killed, key=lambda one: one.at)
    died = first.at
    if presence is not None and first.asked <= presence <= first.at:
        died = presence
    return max(died, last) if last <= first.at + shows_on else died


def _attempts(mine: Evidence, died: float | None, written: Written) -> list[AttemptFacts]:
    """Return the claims of one member, by its own lines."""
    steps, last = _steps(mine), mine.lines[-1].line.at
    ended = mine.of(journal.Ended)
    ends = {(entry.line.task, entry.line.attempt): entry for entry in reversed(ended)}
    found: list[AttemptFacts] = []
    for entry in mine.of(journal.Claimed):
        line = entry.line
        claim = line.task, line.attempt
        end = ends.get(claim)
        until = end.line.at if end else max(died or last, line.at)
        outcome = end.line.outcome if end else OPEN if died is None else CUT
        if outcome in UNSURE and (promise := written.get(claim)):
            result = result_of(promise)
            outcome = outcome if result and result.member != line.who else promise.state
        attempt = AttemptFacts(
            job=line.job,
            task=line.task,
            number=line.attempt,
            member=line.who,
            function=line.function,
            began=line.at,
            until=until,
            outcome=outcome,
            seconds=end.line.seconds if end else until - line.at,
            where=entry.where,
            end_where=end.where if end else None,
            error=end.line.error if end else "",
            writing=end.line.writing if end else 0.0,
            steps=steps[claim],
        )
        found.append(attempt)
    return found


def _steps(mine: Evidence) -> defaultdict[tuple[str, int], list[StepFacts]]:
    """Return the steps of each claim of a job's own task."""
    stored = mine.of(journal.StepEnded)
    ended = {(entry.line.promise, entry.line.attempt): entry.line.at for entry in stored}
    steps: defaultdict[tuple[str, int], list[StepFacts]] = defaultdict(list)
    for entry in mine.of(journal.StepBegan):
        line = entry.line
        end = ended.get((line.promise, line.attempt))
        step = StepFacts(promise=line.promise, began=line.at, ended=end, where=entry.where)
        steps[line.job, line.attempt].append(step)
    return steps


def _jobs(
    evidence: Evidence, records: list[Record], tasks: dict[str, list[AttemptFacts]]
) -> dict[str, JobFacts]:
    planned = {job.id: job for job in evidence.plan.jobs} if evidence.plan else {}
    confirmed: defaultdict[str, list[JournalEntry[journal.Confirmed]]] = defaultdict(list)
    for entry in evidence.of(journal.Confirmed):
        confirmed[entry.line.job].append(entry)
    known = {one.promise.id: one for one in records}
    roots = [one for one in known if root_of(one) == one]
    return {
        job: JobFacts(
            id=job,
            planned=planned.get(job),
            confirmed=confirmed.get(job, []),
            record=known.get(job),
            result=result_of(known[job].promise) if job in known else None,
            attempts=tasks.get(job, []),
        )
        for job in dict.fromkeys([*planned, *confirmed, *roots, *map(root_of, tasks)])
    }

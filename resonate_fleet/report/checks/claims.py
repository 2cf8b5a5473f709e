"""Is every claim that the server counted in a member's journal, and no other, and each once?

The version of a task counts its claims. So claims 1 to version of each task must stand in the
journals; the last one, which brought the result, without exception. For the others one way out is
left, for a member that was killed between the server's answer and its own line:

- it died without goodbye, and the claim was possible by then and not yet followed by another;
- it had a slot free for it, and either that slot or the job came free in the last instant (a slot
  is free when the body is over, while the outcome is still being written);
- where a steward watched or chaos looked, one of them names the claim as held by that member.

Two others: an answer that a restart of the server, a pause or a partition swallowed, and a claim
granted to a member that was closing and gave it back at once.
"""

import math
from itertools import pairwise

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.journal import Died, DrainStep, Ended
from resonate_fleet.contract.run import Record
from resonate_fleet.report.checks.outages import unsure
from resonate_fleet.report.facts import FINAL, OPEN, AttemptFacts, Facts, MemberFacts, is_timer
from resonate_fleet.report.findings import Finding, found

#: A kill falls between a claim and its line only this shortly after the claim, in seconds.
INSTANT = 2.0
#: A claim's line is in the journal this soon, in seconds, on the busiest machine.
LINE_DUE = 0.3
#: A claim is answered within this, in seconds, or the member says that it lost the server.
ON_ITS_WAY = 1.0


def counted(facts: Facts) -> list[Finding]:
    """Reconcile the number of claims of each task with the journals."""
    findings: list[Finding] = []
    for task in dict.fromkeys([*facts.tasks, *facts.jobs, *facts.children]):
        record = facts.record_of(task)
        if record is None or record.task is None:
            continue
        findings += _one_task(facts, record, facts.tasks.get(task, []))
    return findings


def _one_task(facts: Facts, record: Record, attempts: list[AttemptFacts]) -> list[Finding]:
    task, version = record.promise.id, record.task.version if record.task else 0
    findings = [
        found(
            "claim-count-disagrees",
            f"{one.member} wrote down claim {one.number} of {task}; the server counts {version}",
            job=one.job,
            member=one.member,
            evidence=[one.where, f"server.json#{task}"],
        )
        for one in attempts
        if one.number > version
    ]
    if is_timer(record):
        return findings  # the server's own alarm: members look at it, and may claim it, in passing
    told = {one.number for one in attempts}
    untold = [number for number in range(1, version + 1) if number not in told]
    return findings + [
        _unrecorded(facts, record, attempts, number)
        for number in untold
        if not _excused(facts, record, attempts, number)
    ]


def _unrecorded(facts: Facts, record: Record, attempts: list[AttemptFacts], number: int) -> Finding:
    task = record.promise.id
    return found(
        "unrecorded-claim",
        f"no member wrote down claim {number} of {task}",
        job=root_of(task),
        evidence=[f"server.json#{task}", *[one.where for one in attempts][-3:]],
        incomplete=facts.coverage.incomplete(),
    )


def _excused(facts: Facts, record: Record, attempts: list[AttemptFacts], number: int) -> bool:
    """Say whether claim `number` may have been made and not written down."""
    before = [one for one in attempts if one.number < number]
    after = [one for one in attempts if one.number > number]
    settled = record.promise.settled_at
    if record.promise.state in FINAL and record.task and number == record.task.version:
        return False  # somebody lived long enough to bring the result under this very claim
    low = max([record.promise.created_at / 1000, *[one.began for one in before]])
    if before and before[-1].outcome != OPEN:
        low = max(low, before[-1].until)
    high = after[0].began if after else settled / 1000 if settled else math.inf
    if unsure(facts, low, high) or _given_back_closing(facts, low, high):
        return True
    return any(
        _died_claiming(facts, member, (record.promise.id, number), low, high)
        for member in facts.members.values()
    )


def _given_back_closing(facts: Facts, low: float, high: float) -> bool:
    """Say whether a member closed its intake between `low` and `high`, a claim on its way."""
    return any(
        entry.line.step == "intake-closed" and low - ON_ITS_WAY <= entry.line.at <= high
        for entry in facts.evidence.of(DrainStep)
    )


def _died_claiming(
    facts: Facts, member: MemberFacts, claim: tuple[str, int], low: float, high: float
) -> bool:
    died = member.died
    if died is None or not low - INSTANT <= died <= high + INSTANT:
        return False
    freed = [
        over
        for one in member.attempts
        if (over := min(one.until, _body_over(facts, one))) < died and one.began <= died
    ]
    running = [one for one in member.attempts if one.began <= died <= _body_over(facts, one)]
    running = [one for one in running if died <= one.until]
    since = max([low, member.ready or member.started, *freed])
    if len(running) >= member.slots or died - since > INSTANT:
        return False
    plan = facts.evidence.plan
    if _seen_at_work(facts, member, claim):
        return False
    return claim in _named(facts, member.name) or not (plan and plan.steward)


def _body_over(facts: Facts, attempt: AttemptFacts) -> float:
    """Return when the attempt's body may have been over, at the earliest."""
    job = facts.jobs.get(attempt.task)
    mine = (attempt.member, attempt.number)
    if job and job.result and (job.result.member, job.result.attempt) == mine:
        return job.result.ended
    if job and job.planned and not job.planned.steps:
        return attempt.began + job.planned.cost
    return attempt.until


def _seen_at_work(facts: Facts, member: MemberFacts, claim: tuple[str, int]) -> bool:
    """Say whether chaos had watched this claim for a while: then its line was due.

    For jobs without steps the part done is the age of the lease that chaos saw.
    """
    for strike in facts.strikes_on(member.name):
        job = facts.jobs.get(claim[0])
        if claim in strike.held and strike.job == claim[0] and job and job.planned:
            return not job.planned.steps and strike.part * job.planned.cost > LINE_DUE
    return False


def _named(facts: Facts, member: str) -> set[tuple[str, int]]:
    """Return the claims that steward or chaos saw a member hold when it died."""
    named = {pair for strike in facts.strikes_on(member) for pair in strike.held}
    for entry in facts.evidence.of(Died):
        if entry.line.member == member:
            named |= set(entry.line.tasks)
    return named | {key for key, one in facts.handed_over.items() if one.line.member == member}


def granted_twice(facts: Facts) -> list[Finding]:
    """Claims that two journals, or one twice, say were granted."""
    findings: list[Finding] = []
    for task, attempts in facts.tasks.items():
        for first, second in pairwise(attempts):
            if first.number == second.number:
                says = f"claim {first.number} of {task}: {first.member} and {second.member}"
                places = [first.where, second.where]
                findings.append(found("claimed-twice", says, job=root_of(task), evidence=places))
    return findings


def loose_ends(facts: Facts) -> list[Finding]:
    """Attempts without an end under a living member, and ends without an attempt."""
    findings = [
        found(
            "attempt-without-end",
            f"{one.member} says nothing of how claim {one.number} of {one.task} ended",
            job=one.job,
            member=one.member,
            evidence=[one.where],
            incomplete=facts.coverage.incomplete(one.member),
        )
        for attempts in facts.tasks.values()
        for one in attempts
        if one.outcome == OPEN
    ]
    claimed = {
        (one.member, task, one.number) for task, attempts in facts.tasks.items() for one in attempts
    }
    for entry in facts.evidence.of(Ended):
        line = entry.line
        if (line.who, line.task, line.attempt) not in claimed:
            says = f"{line.who} ended claim {line.attempt} of {line.task} and never claimed it"
            findings.append(
                found(
                    "end-without-claim",
                    says,
                    job=line.job,
                    member=line.who,
                    evidence=[entry.where],
                    incomplete=facts.coverage.incomplete(line.who),
                )
            )
    return findings


CHECKS = (counted, granted_twice, loose_ends)

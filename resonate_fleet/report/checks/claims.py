"""Is every claim that the server counted in a member's journal, and no other, and each once?

The version of a task counts its claims. So claims 1 to version of each task must stand in the
journals; the last one, which brought the result, without exception. For the others there is an
excuse: the member was killed between the server's answer and its own line. It holds where

- it died without goodbye, and the claim was possible by then and not yet followed by another;
- it had a slot free for it, and either that slot or the job came free in the last instant (a slot
  is free when the body is over, while the outcome is still being written);
- where a steward watched or chaos looked, one of them names the claim as held by that member.

A member writes its lines once an iteration of the loop, and what is written outlives a SIGKILL: no
more than that moment can be missing. A journal that lacks more looks like a claim that was hidden.

There are two more excuses: the answer was lost in a restart of the server, a pause or a partition;
or the member was closing and gave the claim back at once.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

from resonate_fleet.contract.journal import Died, DrainStep, Ended
from resonate_fleet.contract.run import Record
from resonate_fleet.contract.words import TAG_TIMER
from resonate_fleet.report.checks.leases import outages
from resonate_fleet.report.facts import FINAL, OPEN, AttemptFacts, Facts, MemberFacts
from resonate_fleet.report.findings import Finding, finding

#: A kill falls between a claim and its line only this shortly after the claim, in seconds.
INSTANT = 2.0
#: A claim's line is in the journal this soon, in seconds, on the busiest machine.
LINE_DUE = 0.3
#: A claim is answered within this, in seconds, or the member says that it lost the server.
ON_ITS_WAY = 1.0


def counted(facts: Facts) -> Iterator[Finding]:
    """Reconcile the number of claims of each task with the journals."""
    for task in facts.tasks:
        record = facts.record_of(task)
        if record is None or record.task is None:
            continue
        version, place = record.task.version, f"server.json#{task}"
        for one in facts.tasks.get(task, []):
            if one.number > version:
                says = f"{one.member} wrote down claim {one.number} of {task}; the server counts "
                yield finding("claim-count-disagrees", f"{says}{version}", one.where, place)
    for task, number in unwritten(facts):
        near = [one.where for one in facts.tasks.get(task, [])][-3:]
        says, cut = f"no member wrote down claim {number} of {task}", facts.coverage.incomplete()
        yield finding("unrecorded-claim", says, f"server.json#{task}", *near, incomplete=cut)


def unwritten(facts: Facts) -> Iterator[tuple[str, int]]:
    """Return the claims that the server counted, no journal has, and nothing excuses."""
    for task in dict.fromkeys([*facts.tasks, *facts.jobs, *facts.children]):
        record, attempts = facts.record_of(task), facts.tasks.get(task, [])
        if record is None or record.task is None:
            continue
        if record.promise.tags.get(TAG_TIMER) == "true":
            continue  # the server's own alarm: members look at it, and may claim it, in passing
        for number in set(range(1, record.task.version + 1)) - {one.number for one in attempts}:
            if not _excused(facts, record, attempts, number):
                yield task, number


def _excused(facts: Facts, record: Record, attempts: list[AttemptFacts], number: int) -> bool:
    """Say whether claim `number` may have been made and not written down."""
    promise = record.promise
    if promise.state in FINAL and record.task and number == record.task.version:
        return False  # somebody lived long enough to bring the result under this very claim
    before = [one for one in attempts if one.number < number]
    after = [one for one in attempts if one.number > number]
    low = max([promise.created_at / 1000, *[one.began for one in before]])
    if before and before[-1].outcome != OPEN:
        low = max(low, before[-1].until)
    settled = promise.settled_at / 1000 if promise.settled_at else math.inf
    high = after[0].began if after else settled
    closings = [
        entry.line.at
        for entry in facts.evidence.of(DrainStep)
        if entry.line.step == "intake-closed"  # with a claim on its way, say
    ]
    return (
        any(start <= high and low <= stop for start, stop in outages(facts))
        or any(low - ON_ITS_WAY <= at <= high for at in closings)
        or any(
            _died_claiming(facts, member, (promise.id, number), low, high)
            for member in facts.members.values()
        )
    )


def _died_claiming(
    facts: Facts, member: MemberFacts, claim: tuple[str, int], low: float, high: float
) -> bool:
    """Say whether `member` may have died between the server's grant of `claim` and its own line.

    The claim was made from `low` to `high`. The member died about then, with a slot free; the slot
    or the job had come free within `INSTANT`; chaos had not watched the claim longer than a line
    takes; where a steward was planned, it or chaos names the claim.
    """
    died = member.died
    if died is None or not low - INSTANT <= died <= high + INSTANT:
        return False
    begun = [one for one in member.attempts if one.began <= died]
    over = [min(one.until, _body_over(facts, one)) for one in begun]
    running = sum(end >= died for end in over)
    since = max([low, member.ready or member.started, *(end for end in over if end < died)])
    if running >= member.slots or died - since > INSTANT:
        return False
    if _seen_at_work(facts, member, claim):
        return False
    plan = facts.evidence.plan
    return claim in named(facts, member.name) or not (plan and plan.steward)


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


def named(facts: Facts, member: str) -> set[tuple[str, int]]:
    """Return the claims that steward or chaos saw a member hold when it died."""
    named = {pair for strike in facts.strikes_on(member) for pair in strike.held}
    for entry in facts.evidence.of(Died):
        if entry.line.member == member:
            named |= set(entry.line.tasks)
    return named | {key for key, one in facts.handed_over.items() if one.line.member == member}


def granted_twice(facts: Facts) -> Iterator[Finding]:
    """Claims that two journals, or one twice, say were granted."""
    for task, attempts in facts.tasks.items():
        for first, second in pairwise(attempts):
            if first.number == second.number:
                says = f"claim {first.number} of {task}: {first.member} and {second.member}"
                yield finding("claimed-twice", says, first.where, second.where)


def loose_ends(facts: Facts) -> Iterator[Finding]:
    """Attempts without an end under a living member, and ends without an attempt."""
    coverage = facts.coverage
    for one in facts.attempts():
        if one.outcome == OPEN:
            says = f"{one.member} says nothing of how claim {one.number} of {one.task} ended"
            cut = coverage.incomplete(one.member)
            yield finding("attempt-without-end", says, one.where, incomplete=cut)
    claimed = {(one.member, one.task, one.number) for one in facts.attempts()}
    for entry in facts.evidence.of(Ended):
        line = entry.line
        if (line.who, line.task, line.attempt) not in claimed:
            says = f"{line.who} ended claim {line.attempt} of {line.task} and never claimed it"
            cut = coverage.incomplete(line.who)
            yield finding("end-without-claim", says, entry.where, incomplete=cut)


CHECKS = (counted, granted_twice, loose_ends)

"""Does each result come once, from the member that held the claim, and is it the one asked for?"""

import math

from resonate_fleet.contract.ids import root_of
from resonate_fleet.report.checks.jobs import places
from resonate_fleet.report.counts import doubled
from resonate_fleet.report.facts import CUT, FINAL, AttemptFacts, Facts, JobFacts
from resonate_fleet.report.findings import Finding, found

#: Clocks and rounding; a sleep may end this share of its length early.
EARLY = 0.95
#: Clocks of two machines may differ by this much, in seconds.
SLACK = 1.0


def double_results(facts: Facts) -> list[Finding]:
    """Tasks that were brought to an end more than once."""
    return [
        found(
            "double-result",
            f"{task} was ended {len(ends)} times: "
            + ", ".join(f"by {one.line.who} at claim {one.line.attempt}" for one in ends),
            job=root_of(task),
            member=ends[-1].line.who,
            evidence=[one.where for one in ends],
        )
        for task, ends in doubled(facts).items()
    ]


def dropped_results(facts: Facts) -> list[Finding]:
    """Ends that a member wrote down and that the server knows nothing of."""
    findings: list[Finding] = []
    for task, attempts in facts.tasks.items():
        record = facts.record_of(task)
        if record is None or record.task is None:
            continue
        for one in attempts:
            taken = record.promise.state != "pending" and record.task.version == one.number
            if one.outcome in FINAL and not taken:
                findings.append(_dropped(task, one, record.promise.state, record.task.version))
    return findings


def _dropped(task: str, one: AttemptFacts, state: str, version: int) -> Finding:
    return found(
        "dropped-result",
        f"{one.member} says that claim {one.number} of {task} ended {one.outcome}; "
        f"the server has it {state} at claim {version}",
        job=one.job,
        member=one.member,
        evidence=[one.end_where or one.where, f"server.json#{task}"],
    )


def result_contents(facts: Facts) -> list[Finding]:
    """Results beside the job that was asked for and the claim that brought them."""
    return [
        found("result-disagrees", f"job {job.id}: {says}", job=job.id, evidence=places(job))
        for job in facts.jobs.values()
        for says in _differences(job)
    ]


def _differences(job: JobFacts) -> list[str]:
    differences: list[str] = []
    final = next((one for one in reversed(job.attempts) if one.outcome in FINAL), None)
    states = {"resolved": "resolved", "rejected": "rejected"}
    if final and job.state in states and final.outcome != job.state:
        differences.append(f"{final.member} says {final.outcome}, the server {job.state}")
    result = job.result
    if result is None or job.record is None or job.record.task is None:
        return differences
    if result.id != job.id:
        differences.append(f"the result is that of {result.id}")
    if result.attempt != job.record.task.version:
        claims = job.record.task.version
        differences.append(f"brought by claim {result.attempt}, the server counts {claims}")
    if job.planned and abs(result.cost - job.planned.cost) > 1e-6:
        differences.append(f"cost {result.cost:g} s, asked for were {job.planned.cost:g} s")
    if final and final.number == result.attempt and final.member != result.member:
        differences.append(f"by {result.member}, and {final.member} says it brought it")
    return differences


def without_claim(facts: Facts) -> list[Finding]:
    """Results signed by a member that claimed nothing of the kind."""
    findings: list[Finding] = []
    for job in facts.jobs.values():
        result = job.result
        if result is None or any(one.member == result.member for one in job.attempts):
            continue
        incomplete = facts.coverage.incomplete(result.member) or result.member not in facts.members
        says = f"job {job.id} has a result by {result.member}, which never claimed it"
        findings.append(
            found(
                "result-without-claim",
                says,
                job=job.id,
                member=result.member,
                evidence=places(job),
                incomplete=incomplete or _died_with_it(facts, result.member, job),
            )
        )
    return findings


def _died_with_it(facts: Facts, name: str, job: JobFacts) -> bool:
    member = facts.members.get(name)
    return bool(member and member.died and job.settled and member.died < job.settled + 1)


def unrecorded(facts: Facts) -> list[Finding]:
    """Jobs with a result that no member says it brought.

    A member killed between the server's answer and its own line may be the one: its claim is cut.
    """
    findings: list[Finding] = []
    for job in facts.jobs.values():
        if job.state not in FINAL or not (job.record and job.record.task):
            continue
        claim = next((a for a in job.attempts if a.number == job.record.task.version), None)
        if any(one.outcome in FINAL for one in job.attempts) or (claim and claim.outcome == CUT):
            continue
        who = claim.member if claim else job.result.member if job.result else ""
        says = f"job {job.id} has a result that no member says it brought"
        incomplete = facts.coverage.incomplete(who) if who else facts.coverage.incomplete()
        findings.append(
            found(
                "unrecorded-result", says, job=job.id, evidence=places(job), incomplete=incomplete
            )
        )
    return findings


def steps_twice(facts: Facts) -> list[Finding]:
    """Steps that ran again although their result was stored."""
    findings: list[Finding] = []
    for job in facts.jobs.values():
        stored: dict[str, str] = {}
        for one in job.attempts:
            for step in one.steps:
                if step.promise in stored:
                    says = f"step {step.promise} had been stored and ran again"
                    where = [stored[step.promise], step.where]
                    findings.append(
                        found("step-checkpointed-twice", says, job=job.id, evidence=where)
                    )
                elif step.ended is not None:
                    stored[step.promise] = step.where
    return findings


def skipped_work(facts: Facts) -> list[Finding]:
    """Results of a first claim that came sooner than the work can be done."""
    findings: list[Finding] = []
    for job in facts.jobs.values():
        if job.state != "resolved" or len(job.attempts) != 1 or job.attempts[0].number != 1:
            continue
        took = _least_seconds(job)
        if job.planned and took < job.planned.cost * EARLY - 0.05:
            says = f"job {job.id} costs {job.planned.cost:g} s and took {took:.2f} s"
            who = job.attempts[0].member
            findings.append(
                found("work-skipped", says, job=job.id, member=who, evidence=places(job))
            )
    return findings


def _least_seconds(job: JobFacts) -> float:
    """Return how long the job took: by its member's own clock, and by the server's."""
    only = job.attempts[0]
    by_server = (job.settled or math.inf) - only.began + SLACK
    return min(only.seconds if only.outcome in FINAL else math.inf, by_server)


CHECKS = (
    double_results,
    dropped_results,
    result_contents,
    without_claim,
    unrecorded,
    steps_twice,
    skipped_work,
)

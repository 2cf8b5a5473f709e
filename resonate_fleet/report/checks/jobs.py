"""Has each job that was asked for one end: its result, once, from the member that claimed it?"""

import math
from collections import Counter
from collections.abc import Iterator

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.journal import ClientEnded, Parked
from resonate_fleet.report.evidence import SLACK
from resonate_fleet.report.facts import CUT, FINAL, Facts, JobFacts
from resonate_fleet.report.figures import doubled, late, lost
from resonate_fleet.report.findings import Finding, finding

#: Clocks and rounding; a sleep may end this share of its length early.
EARLY = 0.95


def about_job(name: str, job: JobFacts, says: str, *, incomplete: bool = False) -> Finding:
    """Return a finding about a job, with what client and server say of it and its claims."""
    confirmed = [entry.where for entry in job.confirmed][:2]
    record = [f"server.json#{job.id}"] if job.record else []
    claims = [one.where for one in job.attempts][-3:]
    sentence = f"job {job.id} {says}"
    return finding(name, sentence, *confirmed, *record, *claims, incomplete=incomplete)


def unended(facts: Facts) -> Iterator[Finding]:
    """Find confirmed jobs that have no end, or none in time."""
    for job in lost(facts):
        if job.record is None:
            yield about_job("missing-promise", job, "was confirmed, the server does not know it")
        else:
            yield about_job("lost-job", job, "was confirmed and has no result")
    for job in late(facts):
        yield about_job("late-job", job, "had not ended at the deadline")


def bad_ends(facts: Facts) -> Iterator[Finding]:
    """Jobs that ended otherwise than with a result, but for those ended by hand."""
    by_hand = facts.evidence.ended_by_hand()
    for job in facts.jobs.values():
        if job.state in ("rejected", "rejected_canceled") and job.id not in by_hand:
            error = next((f": {one.error}" for one in reversed(job.attempts) if one.error), "")
            yield about_job("rejected-job", job, f"ended with an error{error}")
        if job.state == "rejected_timedout":
            yield about_job("timed-out-job", job, "ran out of time: its promise timed out")


def parked_jobs(facts: Facts) -> Iterator[Finding]:
    """Jobs that stand parked, or were parked at any time, where the scenario expects fewer."""
    written = {entry.line.job: entry.where for entry in facts.evidence.of(Parked)}
    names = sorted({job.id for job in facts.jobs.values() if job.parked} | written.keys())
    if len(names) <= facts.evidence.guarantees.parked:
        return
    for name in names:
        record = f"server.json#{name}" if name in facts.jobs else None
        yield finding("parked-unexpectedly", f"job {name} was parked", written.get(name), record)


def client_counts(facts: Facts) -> Iterator[Finding]:
    """Jobs that the server has and the client did not confirm, and counts that do not agree."""
    cut = facts.coverage.clients
    for job in facts.jobs.values():
        if job.record and job.planned and not job.confirmed:
            says = "is on the server, its client never confirmed it"
            yield about_job("forgotten-by-client", job, says, incomplete=cut)
    lines = Counter(entry.line.who for job in facts.jobs.values() for entry in job.confirmed)
    for end in facts.evidence.of(ClientEnded):
        who, said = end.line.who, end.line.confirmed
        if said != lines[who]:
            says = f"{who} says it confirmed {said} jobs and wrote down {lines[who]}"
            yield finding("forgotten-by-client", says, end.where, incomplete=cut)


def unplanned_jobs(facts: Facts) -> Iterator[Finding]:
    """Jobs that were planned and never sent, and the other way round."""
    if facts.evidence.plan is None:
        return
    for job in facts.jobs.values():
        sent = job.record or job.confirmed
        if job.planned and not sent:
            yield finding("unsent-job", f"job {job.id} was planned and never sent", "plan.json")
        if sent and not job.planned and root_of(job.id) == job.id:
            yield about_job("unplanned-job", job, "is in no plan")


def double_results(facts: Facts) -> Iterator[Finding]:
    """Tasks that were brought to an end more than once."""
    for task, ends in doubled(facts).items():
        by = ", ".join(f"by {one.line.who} at claim {one.line.attempt}" for one in ends)
        says = f"{task} was ended {len(ends)} times: {by}"
        yield finding("double-result", says, *[one.where for one in ends])


def dropped_results(facts: Facts) -> Iterator[Finding]:
    """Ends that a member wrote down and that the server knows nothing of."""
    for one in facts.attempts():
        record = facts.record_of(one.task)
        if record is None or record.task is None or one.outcome not in FINAL:
            continue
        state, version = record.promise.state, record.task.version
        if state == "pending" or version != one.number:
            says = (
                f"{one.member} says that claim {one.number} of {one.task} ended {one.outcome}; "
                f"the server has it {state} at claim {version}"
            )
            places = one.end_where or one.where, f"server.json#{one.task}"
            yield finding("dropped-result", says, *places)


def dropped_steps(facts: Facts) -> Iterator[Finding]:
    """Steps that a member stored and that the server knows nothing of."""
    for job in facts.jobs.values():
        for step in (step for one in job.attempts for step in one.steps):
            known = facts.record_of(step.promise)
            lost = known is None or known.promise.state == "pending"
            if job.record and step.ended is not None and lost:
                says = f"step {step.promise} was stored, and the server has no result of it"
                yield finding("dropped-result", says, step.where, f"server.json#{step.promise}")


def result_contents(facts: Facts) -> Iterator[Finding]:
    """Results beside the job that was asked for and the claim that brought them."""
    for job in facts.jobs.values():
        if job.state == "resolved" and job.planned and job.result is None:
            yield about_job("result-disagrees", job, "has no result that can be read")
        for says in _differences(job):
            yield about_job("result-disagrees", job, says)


def _differences(job: JobFacts) -> Iterator[str]:
    final = next((one for one in reversed(job.attempts) if one.outcome in FINAL), None)
    if final and job.state in FINAL and final.outcome != job.state:
        yield f"is {final.outcome} by {final.member}, {job.state} by the server"
    result = job.result
    if result is None or job.task is None:
        return
    if result.id != job.id:
        yield f"has the result of {result.id}"
    claims = job.task.version
    if result.attempt != claims:
        yield f"has the result of claim {result.attempt}, the server counts {claims}"
    if job.planned and abs(result.cost - job.planned.cost) > 1e-6:
        yield f"cost {result.cost:g} s, asked for were {job.planned.cost:g} s"
    if final and final.number == result.attempt and final.member != result.member:
        yield f"has a result by {result.member}, and {final.member} says it brought it"


def without_claim(facts: Facts) -> Iterator[Finding]:
    """Results signed by a member that claimed nothing of the kind."""
    for job in facts.jobs.values():
        result = job.result
        if result is None or any(one.member == result.member for one in job.attempts):
            continue
        member = facts.members.get(result.member)
        died = member and member.died and job.settled and member.died < job.settled + 1
        incomplete = member is None or bool(died) or facts.coverage.incomplete(result.member)
        says = f"has a result by {result.member}, which never claimed it"
        yield about_job("result-without-claim", job, says, incomplete=incomplete)


def unrecorded(facts: Facts) -> Iterator[Finding]:
    """Jobs with a result that no member says it brought.

    A member killed between the server's answer and its own line may be the one: its claim is cut.
    """
    for job in facts.jobs.values():
        if job.state not in FINAL or job.task is None:
            continue
        claim = next((one for one in job.attempts if one.number == job.task.version), None)
        if any(one.outcome in FINAL for one in job.attempts) or (claim and claim.outcome == CUT):
            continue
        who = claim.member if claim else job.result.member if job.result else ""
        says = "has a result that no member says it brought"
        cut = facts.coverage.incomplete(who)
        yield about_job("unrecorded-result", job, says, incomplete=cut)


def steps_twice(facts: Facts) -> Iterator[Finding]:
    """Steps that ran again although their result was stored."""
    for job in facts.jobs.values():
        stored: dict[str, str] = {}
        for step in (step for one in job.attempts for step in one.steps):
            if step.promise in stored:
                says = f"step {step.promise} had been stored and ran again"
                yield finding("step-checkpointed-twice", says, stored[step.promise], step.where)
            elif step.ended is not None:
                stored[step.promise] = step.where


def skipped_work(facts: Facts) -> Iterator[Finding]:
    """Results of a first claim that came sooner than the work can be done."""
    for job in facts.jobs.values():
        if job.state != "resolved" or len(job.attempts) != 1 or job.attempts[0].number != 1:
            continue
        only, cost = job.attempts[0], job.planned.cost if job.planned else 0.0
        took, least = only.seconds, cost * EARLY - 0.05
        if only.outcome in FINAL and took < least:
            yield about_job("work-skipped", job, f"costs {cost:g} s, took {took:.2f} s")
        elif (by_server := (job.settled or math.inf) - only.began) + SLACK < least:
            says = f"costs {cost:g} s, and had its result {by_server:.2f} s after its claim"
            yield about_job("clock-nonsense", job, says)


CHECKS = (
    unended,
    bad_ends,
    parked_jobs,
    client_counts,
    unplanned_jobs,
    double_results,
    dropped_results,
    dropped_steps,
    result_contents,
    without_claim,
    unrecorded,
    steps_twice,
    skipped_work,
)

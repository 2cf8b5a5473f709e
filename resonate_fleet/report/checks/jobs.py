"""Does every job that was asked for have an end, and was every job that has one asked for?"""

from collections.abc import Iterator

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.journal import ClientEnded, Parked
from resonate_fleet.report.facts import Facts, JobFacts
from resonate_fleet.report.figures import late, lost
from resonate_fleet.report.findings import Finding, finding


def about_job(name: str, job: JobFacts, says: str, *, incomplete: bool = False) -> Finding:
    """Return a finding whose evidence is where client and server speak of the job, its claims."""
    confirmed = [entry.where for entry in job.confirmed][:2]
    record = [f"server.json#{job.id}"] if job.record else []
    claims = [one.where for one in job.attempts][-3:]
    sentence = f"job {job.id} {says}"
    return finding(name, sentence, *confirmed, *record, *claims, incomplete=incomplete)


def lost_jobs(facts: Facts) -> Iterator[Finding]:
    """Jobs whose client has the server's word, and which have no end."""
    for job in lost(facts):
        if job.record is None:
            yield about_job("missing-promise", job, "was confirmed, the server does not know it")
        else:
            yield about_job("lost-job", job, "was confirmed and has no result")


def late_jobs(facts: Facts) -> Iterator[Finding]:
    """Jobs that did not end before the run was given up."""
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
    plan = facts.evidence.plan
    written = {entry.line.job: entry.where for entry in facts.evidence.of(Parked)}
    names = sorted({job.id for job in facts.jobs.values() if job.parked} | written.keys())
    if len(names) <= (plan.guarantees.parked if plan else 0):
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
    lines = sum(len(job.confirmed) for job in facts.jobs.values())
    ends = facts.evidence.of(ClientEnded)
    said = sum(entry.line.confirmed for entry in ends)
    if ends and said != lines:
        says = f"clients say they confirmed {said} jobs and wrote down {lines}"
        places = [entry.where for entry in ends]
        yield finding("forgotten-by-client", says, *places, incomplete=cut)


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


CHECKS = (lost_jobs, late_jobs, bad_ends, parked_jobs, client_counts, unplanned_jobs)

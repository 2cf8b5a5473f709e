"""Does every job that was asked for have an end, and was every job that has one asked for?"""

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.journal import ClientEnded, Parked, Rejected
from resonate_fleet.report.counts import late, lost, parked
from resonate_fleet.report.facts import Facts, JobFacts
from resonate_fleet.report.findings import Finding, found


def places(job: JobFacts) -> list[str]:
    """Return where the client and the server speak of the job, and its claims."""
    told = [entry.where for entry in job.confirmed]
    return [
        *told[:2],
        *([f"server.json#{job.id}"] if job.record else []),
        *[one.where for one in job.attempts][-3:],
    ]


def lost_jobs(facts: Facts) -> list[Finding]:
    """Jobs whose client has the server's word, and which have no end."""
    findings: list[Finding] = []
    for job in (facts.jobs[name] for name in lost(facts)):
        if job.record is None:
            name, says = "missing-promise", "was confirmed, and the server does not know it"
        else:
            name, says = "lost-job", "was confirmed and has no result"
        findings.append(found(name, f"job {job.id} {says}", job=job.id, evidence=places(job)))
    return findings


def late_jobs(facts: Facts) -> list[Finding]:
    """Jobs that did not end before the run was given up."""
    return [
        found(
            "late-job",
            f"job {name} had not ended at the deadline",
            job=name,
            evidence=places(facts.jobs[name]),
        )
        for name in late(facts)
    ]


def bad_ends(facts: Facts) -> list[Finding]:
    """Jobs that ended otherwise than with a result, but for those rejected by hand."""
    by_hand = {entry.line.job for entry in facts.evidence.of(Rejected)}
    findings: list[Finding] = []
    for job in facts.jobs.values():
        if job.state in ("rejected", "rejected_canceled") and job.id not in by_hand:
            error = next((one.error for one in reversed(job.attempts) if one.error), "")
            says = f"job {job.id} ended with an error{': ' + error if error else ''}"
            findings.append(found("rejected-job", says, job=job.id, evidence=places(job)))
        if job.state == "rejected_timedout":
            says = f"the promise of job {job.id} ran out of time"
            findings.append(found("timed-out-job", says, job=job.id, evidence=places(job)))
    return findings


def parked_jobs(facts: Facts) -> list[Finding]:
    """Jobs that stand parked, or were parked at any time, where the scenario expects fewer."""
    plan = facts.evidence.plan
    told = {entry.line.job: entry.where for entry in facts.evidence.of(Parked)}
    names = sorted(parked(facts) | set(told))
    if len(names) <= (plan.guarantees.parked if plan else 0):
        return []
    return [
        found(
            "parked-unexpectedly",
            f"job {name} was parked",
            job=name,
            evidence=[
                told.get(name, ""),
                *(places(facts.jobs[name]) if name in facts.jobs else []),
            ],
        )
        for name in names
    ]


def client_counts(facts: Facts) -> list[Finding]:
    """Jobs that the server has and the client did not confirm, and counts that do not agree."""
    findings = [
        found(
            "forgotten-by-client",
            f"the server has job {job.id}, its client never confirmed it",
            job=job.id,
            evidence=places(job),
            incomplete=facts.coverage.clients,
        )
        for job in facts.jobs.values()
        if job.record and job.planned and not job.confirmed
    ]
    lines = sum(len(job.confirmed) for job in facts.jobs.values())
    ends = facts.evidence.of(ClientEnded)
    said = sum(entry.line.confirmed for entry in ends)
    if ends and said != lines:
        says = f"clients say they confirmed {said} jobs and wrote down {lines}"
        where = [entry.where for entry in ends]
        findings.append(
            found("forgotten-by-client", says, evidence=where, incomplete=facts.coverage.clients)
        )
    return findings


def unplanned_jobs(facts: Facts) -> list[Finding]:
    """Jobs that were planned and never sent, and the other way round."""
    if facts.evidence.plan is None:
        return []
    findings: list[Finding] = []
    for job in facts.jobs.values():
        if job.planned and not job.record and not job.confirmed:
            says = f"job {job.id} was planned and never sent"
            findings.append(found("unsent-job", says, job=job.id, evidence=["plan.json"]))
        if not job.planned and root_of(job.id) == job.id and (job.record or job.confirmed):
            says = f"nobody planned job {job.id}"
            findings.append(found("unplanned-job", says, job=job.id, evidence=places(job)))
    return findings


CHECKS = (lost_jobs, late_jobs, bad_ends, parked_jobs, client_counts, unplanned_jobs)

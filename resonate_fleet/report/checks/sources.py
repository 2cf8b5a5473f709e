"""Is everybody heard, whole and in order? Did every member work?"""

from collections import defaultdict

from resonate_fleet.contract.journal import StrikeDone
from resonate_fleet.report.bound import waiting
from resonate_fleet.report.facts import Facts, MemberFacts
from resonate_fleet.report.findings import Finding, found

#: Clocks of one run may differ by this much, in seconds; on one machine they do not at all.
SLACK = 1.0
#: Times further than this from the run, in seconds, are not of this run.
FAR = 3600.0


def missing(facts: Facts) -> list[Finding]:
    """Name each source that is not there."""
    return [
        found("missing-source", f"{what} is missing", evidence=places)
        for what, places in facts.coverage.missing.items()
    ]


def cut(facts: Facts) -> list[Finding]:
    """Name each journal that is not whole."""
    return [
        found(
            "journal-cut",
            f"the journal of {who} has a broken line or does not go to its end",
            member=who if who in facts.members else "",
            evidence=places,
        )
        for who, places in facts.coverage.cut.items()
    ]


def clocks(facts: Facts) -> list[Finding]:
    """Look for times that cannot be: backwards in a file, far away, before the job was made."""
    return [*_backwards(facts), *_far(facts), *_too_early(facts)]


def _backwards(facts: Facts) -> list[Finding]:
    files: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for entry in facts.evidence.lines:
        if isinstance(entry.line, StrikeDone):
            continue  # dated when the strike began, written when it was over
        file, _, line = entry.where.rpartition(":")
        files[file].append((int(line), entry.line.at))
    findings: list[Finding] = []
    for file, lines in files.items():
        lines.sort()
        latest = lines[0][1]
        for number, at in lines:
            if at < latest - SLACK:
                says = f"{file} goes back {latest - at:.1f} s at line {number}"
                findings.append(found("clock-nonsense", says, evidence=[f"{file}:{number}"]))
                break
            latest = max(latest, at)
    return findings


def _far(facts: Facts) -> list[Finding]:
    records = facts.evidence.records
    if records is None:
        return []
    return [
        found(
            "clock-nonsense",
            f"{entry.where} is dated {entry.line.at - records.at:+.0f} s from the server's records",
            evidence=[entry.where],
        )
        for entry in facts.evidence.lines
        if not records.at - 24 * FAR < entry.line.at < records.at + FAR
    ][:20]


def _too_early(facts: Facts) -> list[Finding]:
    findings: list[Finding] = []
    for job in facts.jobs.values():
        first, result = (job.attempts[0] if job.attempts else None), job.result
        if first and job.record and job.created and first.began < job.created - SLACK:
            says = f"job {job.id} was claimed {job.created - first.began:.1f} s before it was made"
            places = [first.where, f"server.json#{job.id}"]
            findings.append(found("clock-nonsense", says, job=job.id, evidence=places))
        if result and result.ended < result.began:
            says = f"the result of job {job.id} ended before it began"
            places = [f"server.json#{job.id}"]
            findings.append(found("clock-nonsense", says, job=job.id, evidence=places))
    return findings


def idle_members(facts: Facts) -> list[Finding]:
    """Name members that claimed nothing although a job waited while they were there."""
    plan = facts.evidence.plan
    if plan is not None and not plan.guarantees.every_member_works:
        return []
    waits = waiting(facts)
    return [
        found(
            "idle-member",
            f"{member.name} claimed nothing in {member.until - member.started:.1f} s",
            member=member.name,
            evidence=[member.lines[0][1], member.lines[-1][1]],
        )
        for member in facts.members.values()
        if not member.attempts and _could_have_worked(member, waits)
    ]


def _could_have_worked(member: MemberFacts, waits: list[tuple[float, float]]) -> bool:
    """Say whether a job waited for a second or more while the member was ready."""
    if member.ready is None:
        return False
    ready, until = member.ready, member.until
    return any(min(end, until) - max(begin, ready) >= SLACK for begin, end in waits)


CHECKS = (missing, cut, clocks, idle_members)

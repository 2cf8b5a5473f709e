"""Is everybody heard, whole and in order? Did every member work?"""

from collections import defaultdict
from collections.abc import Iterator

from resonate_fleet.contract.journal import StrikeDone
from resonate_fleet.contract.run import DEADLY, FREEZING
from resonate_fleet.report.bound import waiting
from resonate_fleet.report.facts import Facts, MemberFacts
from resonate_fleet.report.findings import Finding, finding
from resonate_fleet.report.recoveries import recoveries

#: Clocks of one run may differ by this much, in seconds; on one machine they do not at all.
SLACK = 1.0
#: A run is over within a day, and its records are taken within an hour of its last line.
BEFORE, AFTER = 86_400.0, 3600.0


def incomplete(facts: Facts) -> Iterator[Finding]:
    """Name each source that is not there, and each journal that is not whole."""
    for says, places in facts.coverage.missing.items():
        yield finding("missing-source", says, *places)
    for who, places in facts.coverage.cut.items():
        says = f"the journal of {who} has a broken line or does not go to its end"
        yield finding("journal-cut", says, *places)


def freed_by_nobody(facts: Facts) -> Iterator[Finding]:
    """Name claims of the killed that came free sooner than a lease lapses, nobody says how."""
    for one in recoveries(facts):
        task, number = one.attempt.claim
        killed = [strike.fault in DEADLY for strike in facts.strikes_on(one.attempt.member)]
        if killed != [True] or one.way != "lapsed" or one.seconds is None:
            continue
        if one.seconds < one.low - SLACK:
            says = f"claim {number} of {task} came free in {one.seconds:.1f} s"
            why = f"{says}, and nobody says that it was handed over: a line is missing"
            yield finding("missing-source", why, f"server.json#{task}")


def backwards(facts: Facts) -> Iterator[Finding]:
    """Name files whose times go back."""
    files: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for entry in facts.evidence.lines:
        if isinstance(entry.line, StrikeDone):
            continue  # dated when the strike began, written when it was over
        files[entry.file].append((entry.number, entry.line.at))
    for file, lines in files.items():
        latest = 0.0
        for number, at in sorted(lines):
            if at < latest - SLACK:
                says = f"{file} goes back {latest - at:.1f} s at line {number}"
                yield finding("clock-nonsense", says, f"{file}:{number}")
                break
            latest = max(latest, at)


def confirmed_early(facts: Facts) -> Iterator[Finding]:
    """Name jobs that their client confirmed before the server made them."""
    for job in facts.jobs.values():
        for entry in job.confirmed if job.record else ():
            early = (job.created or 0.0) - entry.line.at
            if early > SLACK:
                says = f"job {job.id} was confirmed {early:.1f} s before it was made"
                yield finding("clock-nonsense", says, entry.where, f"server.json#{job.id}")


def far(facts: Facts) -> Iterator[Finding]:
    """Name a line that is dated far from the run, if there is one."""
    records = facts.evidence.records
    if records is None:
        return
    for entry in facts.evidence.lines:
        off = entry.line.at - records.at
        if not -BEFORE < off < AFTER:
            says = f"{entry.where} is dated {off:+.0f} s from the server's records"
            yield finding("clock-nonsense", says, entry.where)
            return


def too_early(facts: Facts) -> Iterator[Finding]:
    """Name jobs that were claimed before they were made, or ended at an impossible time."""
    records = facts.evidence.records
    for job in facts.jobs.values():
        first, result, record = next(iter(job.attempts), None), job.result, f"server.json#{job.id}"
        if first and job.record and job.created and first.began < job.created - SLACK:
            says = f"job {job.id} was claimed {job.created - first.began:.1f} s before it was made"
            yield finding("clock-nonsense", says, first.where, record)
        if records and (job.settled or 0.0) > records.at + SLACK:
            says = f"job {job.id} ended after the server was asked for its end"
            yield finding("clock-nonsense", says, record)
        if result and result.ended < result.began:
            says = f"the result of job {job.id} ended before it began"
            yield finding("clock-nonsense", says, record)


def foreseen(facts: Facts) -> Iterator[Finding]:
    """Name claims of a strike's target, and jobs, that were made after chaos had seen them.

    One that is frozen may write its claim down when it is thawed.
    """
    for strike in facts.strikes:
        for task in dict.fromkeys([strike.job, *(task for task, _ in strike.held)]):
            record = facts.record_of(task)
            late = record.promise.created_at / 1000 - strike.at if record else 0.0
            if late > SLACK:
                says = f"strike {strike.number} saw {task} {late:.1f} s before it was made"
                yield finding("clock-nonsense", says, strike.where, f"server.json#{task}")
        for task, version in strike.held:
            for one in facts.tasks.get(task, []):
                mine = (one.number, one.member) == (version, strike.target)
                if mine and strike.fault not in FREEZING and one.began > strike.at + SLACK:
                    late = one.began - strike.at
                    says = f"strike {strike.number} saw a claim {late:.1f} s before it was made"
                    yield finding("clock-nonsense", says, strike.where, one.where)


def idle_members(facts: Facts) -> Iterator[Finding]:
    """Name members that claimed nothing although a job waited while they were there."""
    plan = facts.evidence.plan
    if plan is not None and not plan.guarantees.every_member_works:
        return
    waits = waiting(facts)
    for member in facts.members.values():
        if not member.attempts and _could_have_worked(member, waits):
            says = f"{member.name} claimed nothing in {member.until - member.started:.1f} s"
            yield finding("idle-member", says, member.lines[0].where, member.lines[-1].where)


def _could_have_worked(member: MemberFacts, waits: list[tuple[float, float]]) -> bool:
    """Say whether a job waited for a second or more while the member was ready."""
    if member.ready is None:
        return False
    ready, until = member.ready, member.until
    return any(min(end, until) - max(begin, ready) >= SLACK for begin, end in waits)


CHECKS = (
    incomplete,
    freed_by_nobody,
    backwards,
    far,
    too_early,
    confirmed_early,
    foreseen,
    idle_members,
)

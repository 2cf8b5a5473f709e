"""Is everybody heard, whole and in order? Did every member work?"""

import math
from collections import defaultdict
from collections.abc import Iterator

from resonate_fleet.contract import faults, journal
from resonate_fleet.report.bound import waiting
from resonate_fleet.report.evidence import SLACK
from resonate_fleet.report.facts import Facts
from resonate_fleet.report.findings import Finding, finding

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
    """Name claims of killed members that were free before the lease lapsed, freed by nobody."""
    for one in facts.recoveries:
        task, number = one.attempt.claim
        killed = [strike.fault in faults.DEADLY for strike in facts.strikes_on(one.attempt.member)]
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
        if isinstance(entry.line, journal.StrikeDone):
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


def _after(what: str, at: float, cause: str, earliest: float, *places: str) -> Iterator[Finding]:
    """Name what is dated before its cause, which somebody else's clock has dated."""
    if at < earliest - SLACK:
        yield finding("clock-nonsense", f"{what} {earliest - at:.1f} s before {cause}", *places)


def jobs_in_order(facts: Facts) -> Iterator[Finding]:
    """Name jobs that were confirmed, claimed or asked for before they were made or ended."""
    records = facts.evidence.records
    for job in (job for job in facts.jobs.values() if job.record):
        made, place = job.created or 0.0, f"server.json#{job.id}"
        for entry in job.confirmed:
            what = f"job {job.id} was confirmed"
            yield from _after(what, entry.line.at, "it was made", made, entry.where, place)
        for one in job.attempts[:1]:
            what = f"job {job.id} was claimed"
            yield from _after(what, one.began, "it was made", made, one.where, place)
        if records:
            ended = job.settled or 0.0
            yield from _after("the server was asked", records.at, f"{job.id} ended", ended, place)
        if job.result and job.result.ended < job.result.began:
            says = f"the result of job {job.id} ended before it began"
            yield finding("clock-nonsense", says, place)


def strikes_in_order(facts: Facts) -> Iterator[Finding]:
    """Name jobs and claims of a strike's target that were made after chaos had seen them.

    One that is frozen may write its claim down when it is thawed.
    """
    for strike in facts.strikes:
        saw = f"strike {strike.strike} saw"
        for task in dict.fromkeys([strike.job, *(task for task, _ in strike.held)]):
            if record := facts.record_of(task):
                made = record.promise.created_at / 1000
                places = strike.where, f"server.json#{task}"
                yield from _after(f"{saw} {task}", strike.at, "it was made", made, *places)
        for task, version in strike.held:
            if after := facts.next_claim(task, version):
                what, cause = f"claim {after.number} of {task} was made", f"{saw} claim {version}"
                places = after.where, strike.where
                yield from _after(what, after.began, cause, strike.asked, *places)
        if strike.fault in faults.FREEZING:
            continue
        for task, version in strike.held:
            for one in facts.tasks.get(task, []):
                if (one.number, one.member) == (version, strike.target):
                    what, places = f"{saw} a claim", (strike.where, one.where)
                    yield from _after(what, strike.at, "it was made", one.began, *places)


def chaos_in_order(facts: Facts) -> Iterator[Finding]:
    """Name a run that was begun after its load, or ended before it or after its fleet was."""
    of, planned = facts.evidence.of, [job for job in facts.jobs.values() if job.planned]
    client = min((entry.line.at for entry in of(journal.ClientStarted)), default=math.inf)
    for begun in of(journal.RunStarted):
        places = begun.where, "plan.json"
        yield from _after("a client started", client, "chaos began the run", begun.line.at, *places)
    for over in of(journal.RunEnded):
        at, where = over.line.at, over.where
        if over.line.finished:
            ended = max((job.settled or 0.0 for job in planned), default=0.0)
            yield from _after("chaos ended the run", at, "its last job", ended, where)
        if facts.evidence.traits.own:  # it ends its fleet only then
            said = [one.line.at for one in facts.evidence.lines if one.line.who != over.line.who]
            last = max(said, default=math.inf)
            yield from _after("the fleet was gone", last, "chaos ended the run", at, where)


def stewards_in_order(facts: Facts) -> Iterator[Finding]:
    """Name members that stewards saw when they were not there, and claims before a hand-over."""
    of = facts.evidence.of
    for joined in of(journal.Joined):
        member, at = facts.members.get(joined.line.member), joined.line.at
        if member and not facts.coverage.incomplete(member.name):
            first, last = [(joined.where, member.lines[one].where) for one in (0, -1)]
            yield from _after(f"{member.name} joined", at, "it started", member.started, *first)
            yield from _after(f"{member.name} ended", member.until, "it joined", at, *last)
    for end in (*of(journal.Died), *of(journal.MemberStopped)):
        who = end.line.member if isinstance(end.line, journal.Died) else end.line.who
        if held := [one for one in facts.strikes_on(who) if one.held]:
            strike = min(held, key=lambda one: one.asked)
            places = end.where, strike.where
            yield from _after(f"{who} ended", end.line.at, "it was struck", strike.asked, *places)
    for (task, number), handed in facts.handed_over.items():
        if after := facts.next_claim(task, number):
            what, places = f"claim {after.number} of {task} was made", (after.where, handed.where)
            cause = f"claim {number} was handed over"
            yield from _after(what, after.began, cause, handed.line.at, *places)


def idle_members(facts: Facts) -> Iterator[Finding]:
    """Name members that claimed nothing although a job waited a second while they were ready."""
    if not facts.evidence.guarantees.every_member_works:
        return
    waits = waiting(facts)
    for member in facts.members.values():
        if member.attempts or member.ready is None:
            continue
        ready, until = member.ready, member.until
        if any(min(end, until) - max(begin, ready) >= SLACK for begin, end in waits):
            says = f"{member.name} claimed nothing in {member.until - member.started:.1f} s"
            yield finding("idle-member", says, member.lines[0].where, member.lines[-1].where)


CHECKS = (
    incomplete,
    freed_by_nobody,
    backwards,
    far,
    jobs_in_order,
    strikes_in_order,
    chaos_in_order,
    stewards_in_order,
    idle_members,
)

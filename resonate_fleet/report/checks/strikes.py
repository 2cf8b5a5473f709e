"""Was every planned strike done, did it hit a lease, and did the struck notice?"""

import math
from collections.abc import Iterator

from resonate_fleet.contract.journal import (
    Claimed,
    Ended,
    FalseAlarm,
    Joined,
    Left,
    Line,
    MemberStarted,
    RunEnded,
    ServerBack,
    ServerLost,
    StepEnded,
    StewardStarted,
    StrikeMissed,
)
from resonate_fleet.contract.run import (
    AT_A_MEMBER,
    AT_ALL_MEMBERS,
    AT_EACH_MEMBER,
    AT_THE_SERVER,
    AT_THE_STEWARD,
    DEADLY,
    DRAINING,
    FREEZING,
    STOPPING,
)
from resonate_fleet.report.facts import Facts, MemberFacts, StrikeFacts
from resonate_fleet.report.findings import Finding, finding
from resonate_fleet.report.recoveries import recoveries

#: A member that was cut off is heard this soon after that, in seconds.
COMES_BACK = 5.0
#: What a strike on the whole fleet or the server brings about shows within this, in seconds.
SHOWS_WITHIN = 60.0
#: What is dated this shortly before a strike, in seconds, may be its effect by another clock.
CLOCKS = 10.0


def done(facts: Facts) -> Iterator[Finding]:
    """Compare the strikes that were done with those planned."""
    plan = facts.evidence.plan
    planned = {one.strike: one for one in plan.strikes} if plan else {}
    spoken = {one.number for one in facts.strikes}
    for entry in facts.evidence.of(StrikeMissed):
        line = entry.line
        spoken.add(line.strike)
        says = f"strike {line.strike} ({line.fault}) could not be done: {line.why}"
        yield finding("strike-missed", says, entry.where)
    for number, one in planned.items():
        if number not in spoken:
            says = f"nothing is said of strike {number}: {one.fault}, {one.trigger}"
            yield finding("strike-not-done", says, "plan.json")
    for strike in facts.strikes:
        same = planned.get(strike.number)
        if plan and (same is None or same.fault != strike.fault):
            says = f"strike {strike.number} ({strike.fault}) is not in the plan"
            yield finding("strike-unplanned", says, strike.where)


def hit(facts: Facts) -> Iterator[Finding]:
    """Name strikes at a member that held nothing, and at all while nobody worked."""
    plan = facts.evidence.plan
    if plan is not None and not plan.guarantees.strikes_hit:
        return
    for strike in facts.strikes:
        if not (
            strike.held or (strike.fault not in AT_A_MEMBER and _anybody_worked(facts, strike))
        ):
            says = f"strike {strike.number} ({strike.fault} of {strike.target}) hit no held lease"
            yield finding("strike-hit-nothing", says, strike.where)


def recovered(facts: Facts) -> Iterator[Finding]:
    """Name a promise about recoveries in a run of strikes that had none."""
    plan = facts.evidence.plan
    if plan is None or not plan.strikes or plan.guarantees.recovery_seconds is None:
        return
    if not facts.handed_over and all(one.follower is None for one in recoveries(facts)):
        says = f"{plan.guarantees.recovery_seconds:g} s are promised and no job was claimed again"
        yield finding("nothing-recovered", says, "plan.json", *[one.where for one in facts.strikes])


def _anybody_worked(facts: Facts, strike: StrikeFacts) -> bool:
    return any(one.began <= strike.at and strike.asked <= one.until for one in facts.attempts())


def proof(facts: Facts) -> Iterator[Finding]:
    """Compare what chaos says the target held with the target's own journal."""
    for strike in facts.strikes:
        if strike.fault not in AT_A_MEMBER:
            continue
        if strike.target not in facts.members:
            says = f"strike {strike.number} says it hit {strike.target}, which nobody knows"
            absent = facts.coverage.incomplete(strike.target)  # others know it
            yield finding("strike-proof-disagrees", says, strike.where, incomplete=absent)
            continue
        cut = facts.coverage.incomplete(strike.target)
        for task, version in strike.held:
            if says := _contradiction(facts, strike, task, version):
                yield finding("strike-proof-disagrees", says, strike.where, incomplete=cut)


def _contradiction(facts: Facts, strike: StrikeFacts, task: str, version: int) -> str:
    """Return what speaks against the target having held `task` at `version`, or nothing."""
    claims = [one for one in facts.tasks.get(task, []) if one.number == version]
    other = next((one for one in claims if one.member != strike.target), None)
    mine = next((one for one in claims if one.member == strike.target), None)
    if other and not mine:
        return f"chaos says {strike.target} held claim {version} of {task}; {other.member} did"
    # A member gives a lease up by its own clock; after an outage the server may still show it.
    if mine and mine.outcome != "lost" and mine.until < strike.asked - 1:
        return f"{strike.target} had ended claim {version} of {task} before it was struck"
    record = facts.record_of(task)
    if record and record.task and record.task.version < version:
        return f"chaos says {strike.target} held claim {version} of {task}; there was none"
    return ""


def effect(facts: Facts) -> Iterator[Finding]:
    """Look for what a strike must have brought about."""
    for strike in facts.strikes:
        member = facts.members.get(strike.target)
        if strike.fault not in AT_A_MEMBER:
            shows = _shows(facts, strike) and _as_far_as_planned(facts, strike)
            went_on = [] if shows else [strike.where]
        else:  # one that nobody knows is named by another check
            went_on = _went_on(facts, strike, member) if member else []
            went_on += _steward_went_on(facts, strike)
        if went_on:
            says = f"strike {strike.number}: {strike.fault} of {strike.target} shows nowhere"
            cut = _cannot_show(facts, strike)
            places = dict.fromkeys([strike.where, *went_on[:3]])
            yield finding("strike-without-effect", says, *places, incomplete=cut)


def _cannot_show(facts: Facts, strike: StrikeFacts) -> bool:
    """Say whether a source that would show the strike's effect has gaps, or another clock."""
    coverage, fault = facts.coverage, strike.fault
    if fault in AT_A_MEMBER:
        # That a member did not end can be seen only in a journal that goes to its end.
        ends = fault in DRAINING and coverage.incomplete(strike.target)
        ends = ends or (fault in AT_THE_STEWARD and coverage.stewards)
        return coverage.chaos or ends
    gaps = coverage.chaos or coverage.stewards or coverage.incomplete()
    return gaps or _shows(facts, strike, early=CLOCKS)


def healed(facts: Facts) -> Iterator[Finding]:
    """Look for the member after a pause or partition that chaos says it ended."""
    for strike in facts.strikes:
        member = facts.members.get(strike.target)
        if strike.fault in FREEZING and member and not _came_back(facts, strike, member):
            says = f"strike {strike.number}: {strike.target} is not heard after its {strike.fault}"
            yield finding("strike-not-healed", says, strike.where, member.lines[-1].where)


def _came_back(facts: Facts, strike: StrikeFacts, member: MemberFacts) -> bool:
    """Say whether a member is heard after its healing: by others, if it had been cut off.

    One that was killed, or had no time to come back, need not be. Without a steward nobody hears
    of one that has no work.
    """
    killed = any(one.fault in DEADLY for one in facts.strikes_on(member.name))
    if strike.healing is None or killed:
        return True
    # A paused one writes again by itself.
    mine = [one.line for one in member.lines if one.line.at >= strike.healing]
    if strike.fault in STOPPING:
        return bool(mine)
    plan = facts.evidence.plan
    if not (plan and plan.steward) or _members_left_alone(facts) < strike.healing + COMES_BACK:
        return True
    # One that was cut off wrote all the while: others must hear it, or it must hear the server.
    others = [one.line for one in facts.evidence.lines if one.line.at >= strike.healing]
    told = [one.member for one in others if isinstance(one, Left | Joined | FalseAlarm)]
    heard = member.name in told
    return heard or any(isinstance(x, ServerBack) or _needs_the_server(x) for x in mine)


def _went_on(facts: Facts, strike: StrikeFacts, member: MemberFacts) -> list[str]:
    """Return where it shows that the struck member went on as before."""
    after = strike.at + facts.evidence.traits.shows_on
    if strike.fault in DRAINING:
        leaves = member.stopped is not None and member.stopped >= strike.asked
        return [] if leaves or member.died else [member.lines[-1].where]
    if strike.fault in DEADLY:
        goodbye = member.stopped is not None and member.stopped > strike.at
        after = strike.at if goodbye else after
        return [one.where for one in member.lines if one.line.at > after] or _late_results(
            facts, strike
        )
    until = strike.healing or facts.ended
    return [
        one.where
        for one in member.lines
        if after < one.line.at < until and (strike.fault in STOPPING or _needs_the_server(one.line))
    ]


def _steward_went_on(facts: Facts, strike: StrikeFacts) -> list[str]:
    """Return where it shows that no steward died with the member: each wrote on, unrestarted."""
    if strike.fault not in AT_THE_STEWARD:
        return []
    starts = [(one.line.at, one.line.who) for one in facts.evidence.of(StewardStarted)]
    shown: list[str] = []
    for steward in {who for at, who in starts if at <= strike.at}:
        again = min(
            (at for at, who in starts if who == steward and at > strike.at), default=math.inf
        )
        within = (strike.at + facts.evidence.traits.shows_on, again)
        lines = [one for one in facts.evidence.lines if one.line.who == steward]
        wrote = [one.where for one in lines if within[0] < one.line.at < within[1]]
        if not wrote:
            return []
        shown += wrote[:1]
    return sorted(shown)


def _late_results(facts: Facts, strike: StrikeFacts) -> list[str]:
    """Return results of work that a killed member ended after its death.

    When the server took a result says nothing: it may have been on its way.
    """
    results = [job.result for job in facts.jobs.values() if job.result]
    return [
        f"server.json#{one.id}"
        for one in results
        if one.member == strike.target and one.ended > strike.at + facts.evidence.traits.shows_on
    ]


def _needs_the_server(line: object) -> bool:
    if isinstance(line, Ended):
        return line.outcome in ("resolved", "rejected", "suspended", "released")
    return isinstance(line, Claimed | StepEnded)


def _shows(facts: Facts, strike: StrikeFacts, early: float = 1.0) -> bool:
    """Say whether what a strike on the server or the whole fleet brings about shows anywhere.

    It may be dated `early` seconds before the strike.
    """
    begin, over = strike.at - early, _shows_until(facts, strike)
    kinds: tuple[type[Line], ...] = (MemberStarted, Joined)
    if strike.fault in AT_THE_SERVER:
        kinds = (ServerLost,)
    if strike.fault in AT_THE_STEWARD:
        kinds = (StewardStarted,)
    if any(begin <= entry.line.at <= over for kind in kinds for entry in facts.evidence.of(kind)):
        return True
    members = facts.members.values()
    ended = [one.until for one in members if one.stopped or one.died]
    return strike.fault in AT_ALL_MEMBERS and any(begin <= at <= over for at in ended)


def _shows_until(facts: Facts, strike: StrikeFacts) -> float:
    return min((strike.healed or strike.at) + SHOWS_WITHIN, _members_left_alone(facts))


def _as_far_as_planned(facts: Facts, strike: StrikeFacts) -> bool:
    """Say whether a scaling came to its number, and a rolling restart to every member.

    Whole journals alone can tell; those of a lent fleet go on.
    """
    if not facts.evidence.traits.own or facts.coverage.incomplete():
        return True
    over, members = _shows_until(facts, strike), facts.members.values()
    if strike.fault in AT_EACH_MEMBER:
        before = [one for one in members if one.ready is not None and one.ready < strike.asked]
        return all(one.until <= over for one in before)
    plan = facts.evidence.plan
    planned = next((x for x in plan.strikes if x.strike == strike.number), None) if plan else None
    if planned is None or planned.to is None:
        return True
    moments = [strike.at, *(at for one in members for at in (one.ready, one.until) if at)]
    return any(
        sum(one.ready is not None and one.ready <= at < one.until for one in members) == planned.to
        for at in moments
        if strike.asked <= at <= over
    )


def _members_left_alone(facts: Facts) -> float:
    """Return until when no member is ended by the run itself: a lent fleet never is."""
    if not facts.evidence.traits.own:
        return math.inf
    return min((entry.line.at for entry in facts.evidence.of(RunEnded)), default=math.inf)


CHECKS = (done, hit, recovered, proof, effect, healed)

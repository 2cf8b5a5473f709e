"""Was every planned strike done, did it hit a lease, and did the struck notice?"""

import math
from collections.abc import Iterator

from resonate_fleet.contract import faults, journal
from resonate_fleet.report.evidence import SLACK
from resonate_fleet.report.facts import Facts, MemberFacts, StrikeFacts
from resonate_fleet.report.findings import Finding, finding

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
    spoken = {one.strike for one in facts.strikes}
    for entry in facts.evidence.of(journal.StrikeMissed):
        line = entry.line
        spoken.add(line.strike)
        says = f"strike {line.strike} ({line.fault}) could not be done: {line.why}"
        yield finding("strike-missed", says, entry.where)
    for number, one in planned.items():
        if number not in spoken:
            says = f"nothing is said of strike {number}: {one.fault}, {one.trigger}"
            yield finding("strike-not-done", says, "plan.json")
    for strike in facts.strikes:
        same = planned.get(strike.strike)
        if plan and (same is None or same.fault != strike.fault):
            says = f"strike {strike.strike} ({strike.fault}) is not in the plan"
            yield finding("strike-unplanned", says, strike.where)


def hit(facts: Facts) -> Iterator[Finding]:
    """Name strikes at a member that held nothing, and at all while nobody worked."""
    if not facts.evidence.guarantees.strikes_hit:
        return
    for strike in (one for one in facts.strikes if not one.held):
        begun = (one for one in facts.attempts() if one.began <= strike.at)
        if strike.fault in faults.AT_A_MEMBER or all(one.until < strike.asked for one in begun):
            says = f"strike {strike.strike} ({strike.fault} of {strike.target}) hit no held lease"
            yield finding("strike-hit-nothing", says, strike.where)


def recovered(facts: Facts) -> Iterator[Finding]:
    """Name a promise about recoveries in a run of strikes that had none."""
    plan, promised = facts.evidence.plan, facts.evidence.guarantees.recovery_seconds
    if plan is None or not plan.strikes or promised is None:
        return
    if not facts.handed_over and all(one.follower is None for one in facts.recoveries):
        says = f"{promised:g} s are promised and no job was claimed again"
        yield finding("nothing-recovered", says, "plan.json", *[one.where for one in facts.strikes])


def proof(facts: Facts) -> Iterator[Finding]:
    """Compare what chaos says the target held with the target's own journal."""
    for strike in facts.strikes:
        if strike.fault in faults.AT_A_MEMBER:
            cut = facts.coverage.incomplete(strike.target)
            for says in _contradictions(facts, strike):
                yield finding("strike-proof-disagrees", says, strike.where, incomplete=cut)


def _contradictions(facts: Facts, strike: StrikeFacts) -> Iterator[str]:
    """Yield what speaks against the target having held what chaos says it held."""
    target = strike.target
    if target not in facts.members:
        yield f"strike {strike.strike} says it hit {target}, which nobody knows"
        return
    for task, version in strike.held:
        claims = {one.member: one for one in facts.tasks.get(task, []) if one.number == version}
        mine, record = claims.get(target), facts.record_of(task)
        held = f"held claim {version} of {task}"
        if claims and not mine:
            yield f"chaos says {target} {held}; {next(iter(claims))} did"
        # A member gives a lease up by its own clock; after an outage the server may still show it.
        elif mine and mine.outcome != "lost" and mine.until < strike.asked - 1:
            yield f"{target} had ended claim {version} of {task} before it was struck"
        elif record and record.task and record.task.version < version:
            yield f"chaos says {target} {held}; there was none"


def effect(facts: Facts) -> Iterator[Finding]:
    """Look for what a strike must have brought about."""
    coverage = facts.coverage
    for strike in facts.strikes:
        member, fault = facts.members.get(strike.target), strike.fault
        if fault in faults.AT_A_MEMBER:  # one that nobody knows is named by another check
            went_on = _went_on(facts, strike, member) if member else []
            went_on += _steward_went_on(facts, strike)
            # That a member did not end can be seen only in a journal that goes to its end.
            cut = fault in faults.DRAINING and coverage.incomplete(strike.target)
            cut = cut or (fault in faults.AT_THE_STEWARD and coverage.stewards)
            # One that died without goodbye was killed; when, is a matter of clocks.
            cut = cut or (fault in faults.DEADLY and strike.target in _seen_dead(facts))
        else:
            shows = _shows(facts, strike) and _as_far_as_planned(facts, strike)
            went_on = [] if shows else [strike.where]
            cut = coverage.stewards or coverage.incomplete() or _shows(facts, strike, early=CLOCKS)
        if went_on:
            says = f"strike {strike.strike}: {fault} of {strike.target} shows nowhere"
            places = dict.fromkeys([strike.where, *went_on[:3]])
            cut = cut or coverage.chaos
            yield finding("strike-without-effect", says, *places, incomplete=cut)


def healed(facts: Facts) -> Iterator[Finding]:
    """Look for the member after a pause or partition that chaos says it ended."""
    for strike in facts.strikes:
        member = facts.members.get(strike.target)
        if strike.fault in faults.FREEZING and member and not _came_back(facts, strike, member):
            says = f"strike {strike.strike}: {strike.target} is not heard after its {strike.fault}"
            yield finding("strike-not-healed", says, strike.where, member.lines[-1].where)


def _came_back(facts: Facts, strike: StrikeFacts, member: MemberFacts) -> bool:
    """Say whether a member is heard after its healing: by others, if it had been cut off.

    One that was killed, or had no time to come back, need not be. Without a steward nobody hears
    of one that has no work.
    """
    killed = any(one.fault in faults.DEADLY for one in facts.strikes_on(member.name))
    if strike.healing is None or killed:
        return True
    # A paused one writes again by itself.
    mine = [one.line for one in member.lines if one.line.at >= strike.healing]
    if strike.fault in faults.STOPPING:
        return bool(mine)
    plan = facts.evidence.plan
    if not (plan and plan.steward) or _members_left_alone(facts) < strike.healing + COMES_BACK:
        return True
    # One that was cut off kept writing: others must hear it, or it must hear the server.
    others = [one.line for one in facts.evidence.lines if one.line.at >= strike.healing]
    seen = journal.Left | journal.Joined | journal.FalseAlarm
    if any(isinstance(one, seen) and one.member == member.name for one in others):
        return True
    return any(isinstance(one, journal.ServerBack) or _needs_the_server(one) for one in mine)


def _went_on(facts: Facts, strike: StrikeFacts, member: MemberFacts) -> list[str]:
    """Return where it shows that the struck member went on as before."""
    traits = facts.evidence.traits
    slack = 0.0 if traits.own else SLACK  # a lent fleet may be on several machines
    after, until = strike.at + traits.shows_on, (strike.healing or facts.ended) - slack
    if strike.fault in faults.DRAINING:
        leaves = member.stopped is not None and member.stopped >= strike.asked - slack
        return [] if leaves or member.died else [member.lines[-1].where]
    if strike.fault in faults.DEADLY:
        goodbye = member.stopped is not None and member.stopped > strike.at
        wrote = [one for one in member.lines if one.line.at > (strike.at if goodbye else after)]
        # When the server took a result says nothing: it may have been on its way.
        results = [job.result for job in facts.jobs.values() if job.result]
        late = [one for one in results if one.member == member.name and one.ended > after]
        return [one.where for one in wrote] or [f"server.json#{one.id}" for one in late]
    return [
        one.where
        for one in member.lines
        if after < one.line.at < until
        and (strike.fault in faults.STOPPING or _needs_the_server(one.line))
    ]


def _seen_dead(facts: Facts) -> set[str]:
    """Return the members that a steward saw die, and that took no leave."""
    died = {entry.line.member for entry in facts.evidence.of(journal.Died)}
    return {one.name for one in facts.members.values() if one.stopped is None} & died


def _steward_went_on(facts: Facts, strike: StrikeFacts) -> list[str]:
    """Return where it shows that no steward died with the member: each wrote on, unrestarted."""
    if strike.fault not in faults.AT_THE_STEWARD:
        return []
    shown: list[str] = []
    after = strike.at + facts.evidence.traits.shows_on
    starts = [one.line for one in facts.evidence.of(journal.StewardStarted)]
    for who in {one.who for one in starts if one.at <= strike.at}:
        again = [one.at for one in starts if one.who == who and one.at > strike.at]
        until = min(again, default=math.inf)
        lines = [one for one in facts.evidence.lines if one.line.who == who]
        wrote = [one.where for one in lines if after < one.line.at < until]
        if not wrote:
            return []
        shown += wrote[:1]
    return sorted(shown)


def _needs_the_server(line: object) -> bool:
    if isinstance(line, journal.Ended):
        return line.outcome in ("resolved", "rejected", "suspended", "released")
    return isinstance(line, journal.Claimed | journal.StepEnded)


def _shows(facts: Facts, strike: StrikeFacts, early: float = 1.0) -> bool:
    """Say whether what a strike on the server or the whole fleet brings about shows anywhere.

    It may be dated `early` seconds before the strike.
    """
    kinds: list[type[journal.Line]] = [journal.MemberStarted, journal.Joined]
    if strike.fault in faults.AT_THE_SERVER:
        kinds = [journal.ServerLost]
    elif strike.fault in faults.AT_THE_STEWARD:
        kinds = [journal.StewardStarted]
    moments = [entry.line.at for kind in kinds for entry in facts.evidence.of(kind)]
    if strike.fault in faults.AT_ALL_MEMBERS:
        moments += [one.until for one in facts.members.values() if one.stopped or one.died]
    return any(strike.at - early <= at <= _shows_until(facts, strike) for at in moments)


def _shows_until(facts: Facts, strike: StrikeFacts) -> float:
    return min((strike.healed or strike.at) + SHOWS_WITHIN, _members_left_alone(facts))


def _as_far_as_planned(facts: Facts, strike: StrikeFacts) -> bool:
    """Say whether a scaling came to its number, and a rolling restart to every member.

    Whole journals alone can tell; those of a lent fleet go on.
    """
    if not facts.evidence.traits.own or facts.coverage.incomplete():
        return True
    over, members = _shows_until(facts, strike), facts.members.values()
    if strike.fault in faults.AT_EACH_MEMBER:
        before = [one for one in members if one.ready is not None and one.ready < strike.asked]
        return all(one.until <= over for one in before)
    plan = facts.evidence.plan
    planned = {one.strike: one.to for one in plan.strikes} if plan else {}
    if (to := planned.get(strike.strike)) is None:
        return True
    ends = [one.at for one in facts.strikes if one.fault in (*faults.DEADLY, *faults.DRAINING)]
    fewer = sum(strike.asked <= at <= (strike.healed or over) for at in ends)  # by other strikes
    moments = [strike.at, *(at for one in members for at in (one.ready, one.until) if at)]
    return any(
        to - fewer <= sum(x.ready is not None and x.ready <= at < x.until for x in members) <= to
        for at in moments
        if strike.asked <= at <= over
    )


def _members_left_alone(facts: Facts) -> float:
    """Return until when no member is ended by the run itself: a lent fleet never is."""
    if not facts.evidence.traits.own:
        return math.inf
    return min((entry.line.at for entry in facts.evidence.of(journal.RunEnded)), default=math.inf)


CHECKS = (done, hit, recovered, proof, effect, healed)

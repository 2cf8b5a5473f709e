"""Do members keep to their leases, and do leases and members end only for a reason?"""

from collections.abc import Iterator

from resonate_fleet.contract import faults, journal
from resonate_fleet.report.facts import CUT, RENEWED, AttemptFacts, Facts, StrikeFacts
from resonate_fleet.report.findings import Finding, finding
from resonate_fleet.report.recoveries import strike_behind

#: A request may be under way this long before its sender notices anything, in seconds.
UNDER_WAY = 1.0
#: A stopped body needs this long to end, in seconds, on a busy machine.
TO_STOP = 2.0
#: After an outage a member needs this long at most, in seconds, to renew what it still holds.
TO_RENEW = 3.0
#: A strike on all members may take this long to end a member (drain and the platform's grace).
DRAIN = 120.0


def outages(facts: Facts) -> list[tuple[float, float]]:
    """Return the times in which an answer of the server may have been lost on its way.

    They are those of restarts of the server, pauses, partitions, and what members noticed.
    """
    times = [
        (strike.asked - UNDER_WAY, (strike.healed or strike.at) + UNDER_WAY)
        for strike in facts.strikes
        if strike.fault in (*faults.AT_THE_SERVER, *faults.FREEZING)
    ]
    backs = [(entry.line.who, entry.line.at) for entry in facts.evidence.of(journal.ServerBack)]
    for entry in facts.evidence.of(journal.ServerLost):
        back = [at for who, at in backs if who == entry.line.who and at >= entry.line.at]
        times.append((entry.line.at - UNDER_WAY, min(back, default=entry.line.at) + UNDER_WAY))
    return times


def followed(facts: Facts) -> Iterator[tuple[AttemptFacts, AttemptFacts]]:
    """Return each attempt that another claim of its task followed, with that one."""
    for one in facts.attempts():
        if follower := facts.next_claim(one.task, one.number):
            yield one, follower


def ignored(facts: Facts) -> Iterator[Finding]:
    """Attempts whose body went on although the job had been claimed by somebody else.

    A member learns of it at its next heartbeat at the latest; frozen or cut off, some time after
    that is over. A body that is over and waits for the server to take its outcome does no harm: the
    server refuses it.
    """
    plan = facts.evidence.plan
    if plan is None:
        return
    times = outages(facts)
    for one, follower in followed(facts):
        until = one.until - one.writing
        away = [end for begin, end in times if begin <= until]
        over = until - max([follower.began, *away]) - plan.lease * RENEWED - TO_STOP
        if over > 0 and one.outcome != CUT:
            says = (
                f"{one.member} went on with claim {one.number} of {one.task} for {over:.1f} s "
                f"after it should have stopped; {follower.member} had claimed it"
            )
            yield finding("lease-ignored", says, one.where, follower.where, one.end_where)


def lapsed(facts: Facts) -> Iterator[Finding]:
    """Claims that were followed by another although nobody gave the task back or was struck."""
    for one, follower in followed(facts):
        given_back = one.outcome in ("suspended", "released", "unknown-function", CUT)
        if given_back or one.claim in facts.handed_over or _explained(facts, one):
            continue
        says = f"{one.member} lost claim {one.number} of {one.task}, and nothing had struck it"
        places = one.where, one.end_where, follower.where
        cut = facts.coverage.incomplete(one.member) or facts.coverage.chaos
        yield finding("unexplained-lapse", says, *places, incomplete=cut)


def _explained(facts: Facts, one: AttemptFacts) -> bool:
    strike = strike_behind(facts, one)
    if strike is not None and strike.fault in faults.AT_ALL_MEMBERS:
        return True
    lease = facts.evidence.plan.lease if facts.evidence.plan else 0.0
    return any(
        begin <= one.until and end >= one.began and end - begin + TO_RENEW >= lease * (1 - RENEWED)
        for begin, end in outages(facts)
    )


def deaths(facts: Facts) -> Iterator[Finding]:
    """Deaths and false alarms that no strike explains.

    A scenario that promises parked jobs has poison in its load; its members die of it.
    """
    if facts.evidence.guarantees.parked > 0:
        return
    for entry in facts.evidence.lines:
        line = entry.line
        if not isinstance(line, journal.Died | journal.FalseAlarm):
            continue
        if not any(_explains(strike, line.member, line.at) for strike in facts.strikes):
            verb = "died" if isinstance(line, journal.Died) else "was taken for dead"
            says = f"{line.member} {verb} and nothing had struck it"
            cut = facts.coverage.chaos
            yield finding("unexplained-death", says, entry.where, incomplete=cut)


def _explains(strike: StrikeFacts, member: str, at: float) -> bool:
    """Say whether a strike explains a death at `at`: a thawed member has no reason to die."""
    if strike.asked > at + 1:
        return False
    soon = at <= (strike.healed or strike.at) + DRAIN
    if strike.fault in faults.AT_A_MEMBER:
        return strike.target == member and (soon or strike.fault in faults.DEADLY)
    return strike.fault in faults.AT_ALL_MEMBERS and soon


CHECKS = (ignored, lapsed, deaths)

"""Do members keep to their leases, and do leases and members end only for a reason?"""

from resonate_fleet.contract.journal import Died, FalseAlarm
from resonate_fleet.contract.run import Plan
from resonate_fleet.report.checks.outages import outages
from resonate_fleet.report.facts import AT_A_MEMBER, CUT, DEADLY, AttemptFacts, Facts, StrikeFacts
from resonate_fleet.report.findings import Finding, found
from resonate_fleet.report.recoveries import RENEWALS, strike_behind

#: A stopped body needs this long to be gone, in seconds, on a busy machine.
TO_STOP = 2.0
#: After an outage a member needs this long at most, in seconds, to renew what it still holds.
TO_RENEW = 3.0
#: Faults that end members in order, several of them, and may in the end kill one.
FLEET_WIDE = ("scale", "rolling-restart")
#: A fleet-wide strike may take this long to end a member (drain and the platform's grace).
DRAIN = 120.0


def ignored(facts: Facts) -> list[Finding]:
    """Attempts that went on although the job had been claimed by somebody else.

    A member learns of it at its next heartbeat at the latest; frozen or cut off, some time after
    that is over.
    """
    plan = facts.evidence.plan
    if plan is None:
        return []
    findings: list[Finding] = []
    for task, attempts in facts.tasks.items():
        for one in attempts:
            follower = facts.next_claim(task, one.number)
            if follower is None or one.outcome == CUT:
                continue
            over = one.until - _may_go_on(facts, plan, one, follower)
            if over > 0:
                findings.append(_ignored(one, follower, over))
    return findings


def _may_go_on(facts: Facts, plan: Plan, one: AttemptFacts, follower: AttemptFacts) -> float:
    ends = [end for begin, end in outages(facts) if begin <= one.until and end >= one.began]
    return max([follower.began, *ends]) + plan.lease / RENEWALS + TO_STOP


def _ignored(one: AttemptFacts, follower: AttemptFacts, over: float) -> Finding:
    return found(
        "lease-ignored",
        f"{one.member} went on with claim {one.number} of {one.task} for {over:.1f} s after it "
        f"should have stopped; {follower.member} had claimed it",
        job=one.job,
        member=one.member,
        evidence=[one.where, follower.where, one.end_where or ""],
    )


def lapsed(facts: Facts) -> list[Finding]:
    """Claims that were followed by another although nobody gave the task back or was struck."""
    findings: list[Finding] = []
    for task, attempts in facts.tasks.items():
        for one in attempts:
            follower = facts.next_claim(task, one.number)
            if follower is None or not _held_on(one) or _explained(facts, one):
                continue
            findings.append(
                found(
                    "unexplained-lapse",
                    f"{one.member} lost claim {one.number} of {task}, and nothing had struck it",
                    job=one.job,
                    member=one.member,
                    evidence=[one.where, one.end_where or "", follower.where],
                    incomplete=facts.coverage.incomplete(one.member),
                )
            )
    return findings


def _held_on(one: AttemptFacts) -> bool:
    return one.outcome not in ("suspended", "released", "unknown-function")


def _explained(facts: Facts, one: AttemptFacts) -> bool:
    if (one.task, one.number) in facts.handed_over or one.outcome == CUT:
        return True
    strike = strike_behind(facts, one)
    if strike is not None and strike.fault in FLEET_WIDE:
        return True
    lease = facts.evidence.plan.lease if facts.evidence.plan else 0.0
    return any(
        begin <= one.until
        and end >= one.began
        and end - begin + TO_RENEW >= lease * (1 - 1 / RENEWALS)
        for begin, end in outages(facts)
    )


def deaths(facts: Facts) -> list[Finding]:
    """Deaths and false alarms that no strike explains.

    A scenario that promises parked jobs has poison in its load; its members die of it.
    """
    plan = facts.evidence.plan
    if plan is not None and plan.guarantees.parked > 0:
        return []
    findings: list[Finding] = []
    for entry in facts.evidence.lines:
        line = entry.line
        if isinstance(line, Died | FalseAlarm) and not _was_struck(facts, line.member, line.at):
            verb = "died" if isinstance(line, Died) else "was taken for dead"
            says = f"{line.member} {verb} and nothing had struck it"
            findings.append(
                found("unexplained-death", says, member=line.member, evidence=[entry.where])
            )
    return findings


def _was_struck(facts: Facts, member: str, at: float) -> bool:
    return any(
        strike.asked <= at + 1
        and (
            (strike.fault in AT_A_MEMBER and strike.target == member and _lasts(strike, at))
            or (strike.fault in FLEET_WIDE and at <= (strike.healed or strike.at) + DRAIN)
        )
        for strike in facts.strikes
    )


def _lasts(strike: StrikeFacts, at: float) -> bool:
    """Say whether a strike explains a death at `at`: a thawed member has no reason to die."""
    return strike.fault in DEADLY or at <= (strike.healed or strike.at) + DRAIN


CHECKS = (ignored, lapsed, deaths)

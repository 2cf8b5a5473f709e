"""Was every planned strike done, did it hit a lease, and did the struck notice?"""

from typing import Any, Final

from resonate_fleet.contract.journal import (
    Claimed,
    Ended,
    Joined,
    Line,
    MemberStarted,
    ServerLost,
    StepEnded,
    StewardStarted,
    StrikeMissed,
)
from resonate_fleet.report.entries import JournalEntry
from resonate_fleet.report.facts import AT_A_MEMBER, DEADLY, Facts, StrikeFacts
from resonate_fleet.report.findings import Finding, found

#: What a strike on the whole fleet or the server brings about shows within this, in seconds.
SHOWS_WITHIN = 60.0
#: The lines by which it shows; a change of members shows in their coming and going.
SIGNS: Final[dict[str, tuple[type[Line], ...]]] = {
    "server-restart": (ServerLost,),
    "steward-kill": (StewardStarted,),
}


def done(facts: Facts) -> list[Finding]:
    """Compare the strikes that were done with those planned."""
    plan = facts.evidence.plan
    planned = {one.strike: one for one in plan.strikes} if plan else {}
    missed = facts.evidence.of(StrikeMissed)
    findings = [
        found(
            "strike-missed",
            f"strike {one.line.strike} ({one.line.fault}) could not be done: {one.line.why}",
            evidence=[one.where],
        )
        for one in missed
    ]
    spoken = {one.number for one in facts.strikes} | {one.line.strike for one in missed}
    for number, one in planned.items():
        if number not in spoken:
            says = f"nothing is said of strike {number}: {one.fault}, {one.trigger}"
            findings.append(found("strike-not-done", says, evidence=["plan.json"]))
    for strike in facts.strikes:
        same = planned.get(strike.number)
        if plan and (same is None or same.fault != strike.fault):
            says = f"strike {strike.number} ({strike.fault}) is not in the plan"
            findings.append(found("strike-unplanned", says, evidence=[strike.where]))
    return findings


def hit(facts: Facts) -> list[Finding]:
    """Name strikes at a member that held nothing, and at all while nobody worked."""
    plan = facts.evidence.plan
    if plan is not None and not plan.guarantees.strikes_hit:
        return []
    return [
        found(
            "strike-hit-nothing",
            f"strike {strike.number} ({strike.fault} of {strike.target}) hit no held lease",
            member=strike.target if strike.target in facts.members else "",
            evidence=[strike.where],
        )
        for strike in facts.strikes
        if not (strike.held if strike.fault in AT_A_MEMBER else _anybody_worked(facts, strike))
    ]


def _anybody_worked(facts: Facts, strike: StrikeFacts) -> bool:
    return bool(strike.held) or any(
        one.began <= strike.at and strike.asked <= one.until
        for attempts in facts.tasks.values()
        for one in attempts
    )


def proof(facts: Facts) -> list[Finding]:
    """Compare what chaos says the target held with the target's own journal."""
    findings: list[Finding] = []
    for strike in facts.strikes:
        member = facts.members.get(strike.target)
        if strike.fault not in AT_A_MEMBER:
            continue
        if member is None:
            says = f"strike {strike.number} says it hit {strike.target}, which nobody knows"
            findings.append(found("strike-proof-disagrees", says, evidence=[strike.where]))
            continue
        for task, version in strike.held:
            says = _contradiction(facts, strike, task, version)
            if says:
                findings.append(
                    found(
                        "strike-proof-disagrees",
                        says,
                        member=strike.target,
                        evidence=[strike.where],
                        incomplete=facts.coverage.incomplete(strike.target),
                    )
                )
    return findings


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


def effect(facts: Facts) -> list[Finding]:
    """Look for what a strike must have brought about."""
    findings: list[Finding] = []
    for strike in facts.strikes:
        places = _went_on(facts, strike)
        if places is not None:
            findings.append(
                found(
                    "strike-without-effect",
                    f"strike {strike.number}: {strike.fault} of {strike.target} shows nowhere",
                    member=strike.target if strike.target in facts.members else "",
                    evidence=[strike.where, *places[:3]],
                    # That a member did not end can be seen only in a journal that goes to its end.
                    incomplete=strike.fault == "terminate"
                    and facts.coverage.incomplete(strike.target),
                )
            )
    return findings


def _went_on(facts: Facts, strike: StrikeFacts) -> list[str] | None:
    """Return where it shows that the struck went on as before, or None where it did not."""
    member = facts.members.get(strike.target)
    if strike.fault in AT_A_MEMBER and member is None:
        return None  # told by another check
    after = strike.at + facts.shows_on
    if member and strike.fault in DEADLY:
        goodbye = member.stopped is not None and member.stopped > strike.at
        places = [where for at, where in member.lines if at > (strike.at if goodbye else after)]
        return places or _late_results(facts, strike) or None
    if member and strike.fault == "terminate":
        leaves = member.stopped is not None and member.stopped >= strike.asked
        return None if leaves or member.died else [member.lines[-1][1]]
    if strike.fault in ("pause", "partition"):
        return _work_while_frozen(facts, strike) or None
    return _went_on_fleet_wide(facts, strike)


def _late_results(facts: Facts, strike: StrikeFacts) -> list[str]:
    """Return results of work that a killed member ended after its death.

    When the server took a result says nothing: it may have been on its way.
    """
    return [
        f"server.json#{job.id}"
        for job in facts.jobs.values()
        if job.result
        and job.result.member == strike.target
        and job.result.ended > strike.at + facts.shows_on
    ]


def _work_while_frozen(facts: Facts, strike: StrikeFacts) -> list[str]:
    """Return lines that a frozen member, or one without the server, cannot have written."""
    begin, until = strike.at + facts.shows_on, strike.healing or facts.ended
    member = facts.members[strike.target]
    if strike.fault == "pause":
        return [where for at, where in member.lines if begin < at < until]
    return [
        entry.where
        for entry in facts.evidence.lines
        if entry.line.who == strike.target
        and begin < entry.line.at < until
        and _needs_the_server(entry.line)
    ]


def _needs_the_server(line: object) -> bool:
    if isinstance(line, Ended):
        return line.outcome in ("resolved", "rejected", "suspended", "released")
    return isinstance(line, Claimed | StepEnded)


def _went_on_fleet_wide(facts: Facts, strike: StrikeFacts) -> list[str] | None:
    """Return nothing but the fact where what the strike brings about shows nowhere."""
    over = (strike.healed or strike.at) + SHOWS_WITHIN
    signs: list[JournalEntry[Any]] = []
    for kind in SIGNS.get(strike.fault, (MemberStarted, Joined)):
        signs += facts.evidence.of(kind)
    shown = any(strike.at - 1 <= entry.line.at <= over for entry in signs)
    left = strike.fault not in SIGNS and any(
        strike.at - 1 <= one.until <= over and (one.stopped or one.died)
        for one in facts.members.values()
    )
    return None if shown or left else []


CHECKS = (done, hit, proof, effect)

"""Which sources are missing or cut: what only they could have told proves nothing."""

from collections import defaultdict

from resonate_fleet.contract import journal
from resonate_fleet.contract.faults import AT_THE_FLEET, FREEZING
from resonate_fleet.contract.ids import root_of
from resonate_fleet.report.facts import FINAL, OPEN, Coverage, Facts, MemberFacts

CHAOS = "chaos"


def coverage_of(facts: Facts) -> Coverage:
    """Find out who should have spoken and did not, or not to the end."""
    plan, evidence = facts.evidence.plan, facts.evidence
    missing = {f"{name}: {why}": [name] for name, why in evidence.unread.items()}
    absent = _absent_members(facts)
    missing |= {_no_journal(f"member {name}"): places for name, places in absent.items()}
    clients = {entry.line.who for entry in evidence.of(journal.ClientStarted)}
    if not clients:
        missing[_no_journal("the client")] = ["plan.json"]
    stewards = {entry.line.who for entry in evidence.of(journal.StewardStarted)}
    lacking = plan.stewards - len(stewards) if plan and plan.steward else 0
    if plan and lacking > 0:
        of = "the steward" if plan.stewards == 1 else f"{lacking} of {plan.stewards} stewards"
        missing[_no_journal(of)] = ["plan.json"]
    if plan and plan.strikes and not evidence.of(journal.RunStarted):
        missing[_no_journal(CHAOS)] = ["plan.json"]
    missing |= _absent_steps(facts)
    for job in facts.jobs.values():
        if job.planned and job.record and job.task is None:  # nobody counts its claims
            missing[f"the task of {job.id} is missing"] = [f"server.json#{job.id}"]
    few = len(facts.members) < (plan.members if plan else 1)
    if few and not absent:
        missing[f"journals of members are missing: there are {len(facts.members)}"] = ["plan.json"]
    cut = _cut(facts)
    return Coverage(
        missing=missing,
        cut=cut,
        members=absent.keys() | (cut.keys() & facts.members.keys()) | ({"?"} if few else set()),
        clients=not clients or not clients.isdisjoint(cut),
        chaos=CHAOS in cut or _no_journal(CHAOS) in missing,
        stewards=lacking > 0 or not stewards.isdisjoint(cut),
    )


def _no_journal(whose: str) -> str:
    return f"the journal of {whose} is missing"


def _absent_members(facts: Facts) -> dict[str, list[str]]:
    """Return members that others name and that wrote nothing, with the places that name them."""
    named: defaultdict[str, list[str]] = defaultdict(list)
    names = journal.Joined | journal.Left | journal.Died | journal.HandedOver
    for entry in facts.evidence.lines:
        if isinstance(entry.line, names):
            named[entry.line.member].append(entry.where)
    for job in facts.jobs.values():
        # A member without claims is another finding; one without any line is a missing source.
        if job.result is not None and job.result.member:
            named[job.result.member].append(f"server.json#{job.id}")
    return {name: places[:5] for name, places in named.items() if name not in facts.members}


def _absent_steps(facts: Facts) -> dict[str, list[str]]:
    """Return planned steps that the server has a result of and no member wrote down.

    A member may have been just about to, once in each attempt that was interrupted or struck.
    """
    told = {s.promise for one in facts.attempts() for s in one.steps if s.ended is not None}
    steps: defaultdict[str, list[str]] = defaultdict(list)
    for one in facts.children:
        if one not in told:
            steps[root_of(one)].append(f"server.json#{one}")
    absent = {}
    for job in facts.jobs.values():
        struck = [x for x in job.attempts if x.interrupted or facts.strikes_on(x.member)]
        if job.planned and job.planned.steps and len(steps[job.id]) > len(struck):
            absent[f"what a member wrote of the steps of {job.id} is missing"] = steps[job.id][:3]
    return absent


def _cut(facts: Facts) -> dict[str, list[str]]:
    """Return journals with broken lines or without their process's last word."""
    cut: defaultdict[str, list[str]] = defaultdict(list)
    writers = {entry.file: entry.line.who for entry in reversed(facts.evidence.lines)}
    for torn in facts.evidence.torn:
        writer = writers.get(torn.file, torn.file.removesuffix(".jsonl"))
        member = facts.members.get(writer)
        if member is None or member.died is None or not torn.last:
            cut[writer].append(torn.where)
    started = {entry.line.who for entry in facts.evidence.of(journal.MemberStarted)}
    for member in facts.members.values():
        if member.name not in started or (member.attempts and member.ready is None):
            cut[member.name].append(member.lines[0].where)
        if member.stopped is None and member.died is None and not _may_live_on(facts, member):
            cut[member.name].append(member.lines[-1].where)
    if unhealed := _unhealed(facts):
        cut[CHAOS] += unhealed
    of = facts.evidence.of
    ended = {entry.line.who for entry in (*of(journal.ClientEnded), *of(journal.RunEnded))}
    for entry in (*of(journal.ClientStarted), *of(journal.RunStarted)):
        if entry.line.who not in ended:
            cut[entry.line.who].append(entry.where)
    return dict(cut)


def _unhealed(facts: Facts) -> list[str]:
    """Return strikes of whose end, or failure, chaos says nothing."""
    missed = {entry.line.strike for entry in facts.evidence.of(journal.StrikeMissed)}
    last = [one for one in facts.strikes if one.fault in (*FREEZING, *AT_THE_FLEET)]
    return [one.where for one in last if one.healed is None and one.strike not in missed]


def _may_live_on(facts: Facts, member: MemberFacts) -> bool:
    """Say whether a journal without a last word may still be whole.

    A member of a lent fleet goes on after the run. Whatever is known from elsewhere to have been
    its own must be in its journal then.
    """
    if facts.evidence.traits.own:
        return False
    brought = {one.job for one in member.attempts if one.outcome in FINAL}
    results = [job.result for job in facts.jobs.values() if job.result]
    named = {one.id for one in results if one.member == member.name}
    return named <= brought and not any(one.outcome == OPEN for one in member.attempts)

"""Which sources are missing or cut: what only they could have told proves nothing."""

import math
from collections import defaultdict
from collections.abc import Iterator

from resonate_fleet.contract import journal
from resonate_fleet.contract.faults import AT_A_MEMBER, AT_THE_FLEET, DEADLY, FREEZING
from resonate_fleet.contract.ids import root_of
from resonate_fleet.report.checks.claims import named, unwritten
from resonate_fleet.report.checks.leases import outages
from resonate_fleet.report.evidence import SLACK
from resonate_fleet.report.facts import CUT, FINAL, OPEN, Coverage, Facts, MemberFacts

CHAOS = "chaos"
CLIENT, STEWARD = journal.ClientStarted, journal.StewardStarted


def coverage_of(facts: Facts) -> Coverage:
    """Find out who should have spoken and did not, or not to the end."""
    absent, cut = _absent_members(facts), _cut(facts)
    lacking = _lacking(facts, absent)
    whose = {f"member {name}": places for name, places in absent.items()}
    whose |= {words: ["plan.json"] for words in lacking.values()}
    missing = {f"{name}: {why}": [name] for name, why in facts.evidence.unread.items()}
    missing |= {f"the journal of {one} is missing": places for one, places in whose.items()}
    return Coverage(
        missing=missing | _absent_steps(facts) | _absent_tasks(facts),
        cut=cut,
        members=absent.keys()
        | (cut.keys() & facts.members.keys())
        | (lacking.keys() & {"members"}),
        clients="clients" in lacking or not cut.keys().isdisjoint(_writers(facts, CLIENT)),
        chaos="chaos" in lacking or CHAOS in cut or not _speaks_of_every_strike(facts),
        stewards="stewards" in lacking or not cut.keys().isdisjoint(_writers(facts, STEWARD)),
    )


def _writers(facts: Facts, kind: type[journal.Line]) -> set[str]:
    return {entry.line.who for entry in facts.evidence.of(kind)}


def _lacking(facts: Facts, absent: dict[str, list[str]]) -> dict[str, str]:
    """Return of whom the plan has more than there are journals, and in words whose are missing."""
    plan, of = facts.evidence.plan, facts.evidence.of
    lacking: dict[str, str] = {}
    if not of(CLIENT):
        lacking["clients"] = "the client"
    if plan and plan.strikes and not of(journal.RunStarted):
        lacking["chaos"] = CHAOS
    stewards = plan.stewards if plan and plan.steward else 0
    if (number := stewards - len(_writers(facts, STEWARD))) > 0:
        lacking["stewards"] = "the steward" if stewards == 1 else f"{number} of {stewards} stewards"
    members = plan.members if plan else 1
    began = min((entry.line.at for entry in of(CLIENT)), default=math.inf)
    first = [one for one in facts.members.values() if one.started <= began + SLACK]
    if (number := members - len(first)) > 0 and not absent:
        lacking["members"] = f"{number} of {members} members"
    return lacking


def _absent_members(facts: Facts) -> dict[str, list[str]]:
    """Return members that others name and that wrote nothing, with the places that name them."""
    told: defaultdict[str, list[str]] = defaultdict(list)
    names = journal.Joined | journal.Left | journal.Died | journal.HandedOver
    for entry in facts.evidence.lines:
        if isinstance(entry.line, names):
            told[entry.line.member].append(entry.where)
    for strike in facts.strikes:
        if strike.fault in AT_A_MEMBER:
            told[strike.target].append(strike.where)
    for job in facts.jobs.values():
        # A member without claims is another finding; one without any line is a missing source.
        if job.result is not None and job.result.member:
            told[job.result.member].append(f"server.json#{job.id}")
    return {name: places[:5] for name, places in told.items() if name not in facts.members}


def _absent_tasks(facts: Facts) -> dict[str, list[str]]:
    """Return jobs that the server knows without their tasks: nobody counts their claims."""
    return {
        f"the task of {job.id} is missing": [f"server.json#{job.id}"]
        for job in facts.jobs.values()
        if job.planned and job.record and job.task is None
    }


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
    for job in (one for one in facts.jobs.values() if one.planned and one.planned.steps):
        struck = [x for x in job.attempts if x.interrupted or facts.strikes_on(x.member)]
        if len(steps[job.id]) > len(struck):
            absent[f"what a member wrote of the steps of {job.id} is missing"] = steps[job.id][:3]
    return absent


def _cut(facts: Facts) -> dict[str, list[str]]:
    """Return journals that are not whole, with what shows it."""
    cut: defaultdict[str, list[str]] = defaultdict(list)
    for find in (_broken_lines, _cut_short, _no_goodbye, _no_end):
        for who, place in find(facts):
            cut[who].append(place)
    return dict(cut)


def _broken_lines(facts: Facts) -> Iterator[tuple[str, str]]:
    """Return lines that cannot be read, but for the last one of a member that was killed."""
    writers = {entry.file: entry.line.who for entry in reversed(facts.evidence.lines)}
    for torn in facts.evidence.torn:
        writer = writers.get(torn.file, torn.file.removesuffix(".jsonl"))
        member = facts.members.get(writer)
        if member is None or member.died is None or not torn.last:
            yield writer, torn.where


def _cut_short(facts: Facts) -> Iterator[tuple[str, str]]:
    """Return members that were killed, so without a last word, with what shows that they did more.

    It is a claim that others say was theirs, or a result that they had brought. A claim that lacks
    amid others was never written down: that is another finding.
    """
    dead = {one.name: one for one in facts.members.values() if one.died is not None}
    told = {who: named(facts, who) for who in dead}
    for result in (job.result for job in facts.jobs.values() if job.result):
        member = dead.get(result.member)
        if member and result.began > member.lines[-1].line.at:
            told[member.name].add((result.id, result.attempt))
    for claim in unwritten(facts):
        yield from ((who, f"server.json#{claim[0]}") for who in dead if claim in told[who])
    for member in dead.values():
        yield from ((member.name, place) for place in _unwritten_ends(facts, member))


def _unwritten_ends(facts: Facts, member: MemberFacts) -> Iterator[str]:
    """Return attempts of a killed member that had brought the result well before it was killed."""
    asked = [one.asked for one in facts.strikes_on(member.name) if one.fault in DEADLY]
    gone = min(asked, default=member.died or 0.0) - SLACK
    for one in member.attempts:
        record = facts.record_of(one.task)
        if one.outcome != CUT or record is None or record.task is None:
            continue
        settled = (record.promise.settled_at or math.inf) / 1000
        away = any(begin <= gone and settled <= end for begin, end in outages(facts))
        if record.task.version == one.number and settled < gone and not away:
            yield f"server.json#{one.task}"


def _no_goodbye(facts: Facts) -> Iterator[tuple[str, str]]:
    """Return members without a beginning, and those that lived and have no last word."""
    started = _writers(facts, journal.MemberStarted)
    for member in facts.members.values():
        if member.name not in started or (member.attempts and member.ready is None):
            yield member.name, member.lines[0].where
        if member.stopped is None and member.died is None and not _may_live_on(facts, member):
            yield member.name, member.lines[-1].where


def _no_end(facts: Facts) -> Iterator[tuple[str, str]]:
    """Return clients, chaos and stewards that do not speak to the end of what they began.

    Stewards have no last word. They see members off that are ended when the run is over.
    """
    plan, of, own = facts.evidence.plan, facts.evidence.of, facts.evidence.traits.own
    ended = _writers(facts, journal.ClientEnded) | _writers(facts, journal.RunEnded)
    for begun in (*of(CLIENT), *of(journal.RunStarted)):
        if begun.line.who not in ended:
            yield begun.line.who, begun.where
    missed = _missed(facts)
    for strike in facts.strikes:
        lasts = strike.fault in (*FREEZING, *AT_THE_FLEET)
        if lasts and strike.healed is None and strike.strike not in missed:
            yield CHAOS, strike.where
    over = min((entry.line.at for entry in of(journal.RunEnded)), default=math.inf)
    leave, seen = [
        any(entry.line.at >= over for entry in of(kind))
        for kind in (journal.MemberStopped, journal.Left)
    ]
    if own and plan and plan.steward and leave and not seen:
        yield from ((entry.line.who, entry.where) for entry in of(STEWARD))


def _missed(facts: Facts) -> set[int]:
    return {entry.line.strike for entry in facts.evidence.of(journal.StrikeMissed)}


def _speaks_of_every_strike(facts: Facts) -> bool:
    plan = facts.evidence.plan
    planned = {one.strike for one in plan.strikes} if plan else set()
    return planned <= _missed(facts) | {one.strike for one in facts.strikes}


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

"""Was each strike planned and done, is its proof true, and what must show after it."""

from typing import Any

import pytest
from msgspec.structs import replace

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.run import Guarantees, PlannedStrike
from resonate_fleet.report.checks.strikes import done, effect, hit, proof
from tests.support.facts import (
    Entry,
    attempt,
    entry,
    facts,
    job,
    member,
    plan,
    record,
    result,
    said,
    strike,
    without_the_journal_of,
)


def intended(number: int, fault: Any = "kill") -> PlannedStrike:
    return PlannedStrike(strike=number, fault=fault, trigger="at 5 s", target="anybody")


def test_each_planned_strike_was_done_or_missed_and_no_other() -> None:
    missed = entry(j.StrikeMissed(strike=1, fault="kill", why="nobody there", who="chaos"))
    struck = [strike(strike=0), strike(strike=3), strike("pause", strike=4)]
    meant = plan(strikes=[intended(0), intended(1), intended(2), intended(4), intended(5)])
    assert said(done(facts(strikes=struck, lines=[missed], plan=meant))) == [
        "unproved strike-missed: strike 1 (kill) could not be done: nobody there (chaos.jsonl:1)",
        "unproved strike-not-done: nothing is said of strike 2: kill, at 5 s (plan.json)",
        "unproved strike-not-done: nothing is said of strike 5: kill, at 5 s (plan.json)",
        "unproved strike-unplanned: strike 3 (kill) is not in the plan (chaos:kill)",
        "unproved strike-unplanned: strike 4 (pause) is not in the plan (chaos:pause)",
    ]
    assert len(said(done(facts(strikes=struck, lines=[missed])))) == 1, "without a plan"


def test_a_strike_must_hit_a_lease() -> None:
    nothing = "unproved strike-hit-nothing: strike 0 (kill of m) hit no held lease (chaos:kill)"
    for run in (None, plan()):
        busy = facts(attempt(), strikes=[strike(), strike(held=[("t", 1)])], plan=run)
        assert said(hit(busy)) == [nothing], "although somebody else works"
    lenient = plan(guarantees=Guarantees(strikes_hit=False))
    assert said(hit(facts(strikes=[strike()], plan=lenient))) == []


@pytest.mark.parametrize(
    ("asked", "at", "hits"),
    [(8.0, 9.5, False), (8.0, 10.0, True), (20.0, 21.0, True), (20.5, 21.0, False)],
)
def test_a_strike_at_all_must_come_while_somebody_works(
    asked: float, at: float, *, hits: bool
) -> None:
    struck = strike("server-restart", at, "server", asked=asked)
    assert (said(hit(facts(attempt(), strikes=[struck]))) == []) == hits


def told(claim: Any, *, coverage: Any = None, **of_strike: Any) -> list[str]:
    """Return what is said of a kill of m at 22 that is said to have held claim 1 of t."""
    struck = strike(at=22.0, **({"held": [("t", 1)]} | of_strike))
    jobs = [job(record=record(version=1))]
    more = {"coverage": coverage} if coverage else {}
    attempts = [claim] if claim else []
    known = [member("m"), member("n")]
    return said(proof(facts(*attempts, members=known, strikes=[struck], jobs=jobs, **more)))


def test_the_proof_of_a_strike_agrees_with_the_journals() -> None:
    assert told(attempt(until=22.5)) == []
    assert told(attempt(until=21.0)) == [], "clocks may differ by a second"
    assert told(attempt(until=20.0, outcome="lost")) == [], "by the member's own clock"
    assert told(None) == [], "no journal says otherwise"


def test_the_proof_of_a_strike_contradicts_the_journals() -> None:
    says = "strike-proof-disagrees: chaos says m held claim 1 of t; n did (chaos:kill)"
    assert told(attempt(member="n")) == [f"broken {says}"]
    gaps = without_the_journal_of("m")
    assert told(attempt(member="n"), coverage=gaps) == [f"unproved {says}"]
    others = without_the_journal_of("x")
    assert told(attempt(member="n"), coverage=others) == [f"broken {says}"]
    assert told(attempt(until=20.5)) == [
        "broken strike-proof-disagrees: m had ended claim 1 of t before it was struck (chaos:kill)"
    ]
    assert told(attempt(), held=[("t", 2)]) == [
        "broken strike-proof-disagrees: chaos says m held claim 2 of t; there was none (chaos:kill)"
    ]


def test_a_claim_that_both_say_they_hold_is_not_the_strikes_matter() -> None:
    struck = strike(at=15.0, held=[("t", 1)])
    both = attempt(member="n"), attempt()
    assert said(proof(facts(*both, members=[member("m")], strikes=[struck]))) == []


def test_a_strike_at_nobody() -> None:
    struck = [
        strike("scale", target="fleet"),
        strike(target="x", held=[("t", 1)]),
        strike(target="y"),
    ]
    assert said(proof(facts(strikes=struck))) == [
        "broken strike-proof-disagrees: strike 0 says it hit x, which nobody knows (chaos:kill)",
        "broken strike-proof-disagrees: strike 0 says it hit y, which nobody knows (chaos:kill)",
    ]
    assert said(effect(facts(strikes=struck[1:]))) == []


def refused(at: float) -> Entry:
    return entry(j.ClaimRefused(task="t", version=1, at=at, who="m"), int(at * 10))


def shows(fault: str, *lines: Entry, ended: float = 100.0, **of_member: Any) -> list[str]:
    """Return where it shows that m went on after a strike at 10, on processes (0.5 s)."""
    healed = of_member.pop("healed", None)
    asked, where = of_member.pop("asked", 10.0), plan(place=of_member.pop("place", "processes"))
    struck = strike(fault, 10.0, healed=healed, asked=asked)
    struck_member = member("m", lines=list(lines) or [refused(1.0)], **of_member)
    found = list(effect(facts(members=[struck_member], strikes=[struck], plan=where, ended=ended)))
    assert all(one.says == f"strike 0: {fault} of m shows nowhere" for one in found)
    return [where for one in found for where in one.evidence]


def killed(*lines: Entry, stopped: float | None = None) -> list[str]:
    return shows("kill", *lines, stopped=stopped)


def test_the_killed_write_nothing_more() -> None:
    assert killed(refused(10.5)) == [], "it was on its way"
    assert killed(refused(9.0), refused(11.0)) == ["chaos:kill", "m.jsonl:110"]
    lines = [refused(float(at)) for at in (11, 12, 13, 14)]
    assert killed(*lines) == ["chaos:kill", "m.jsonl:110", "m.jsonl:120", "m.jsonl:130"]


def test_the_killed_say_no_goodbye() -> None:
    assert killed(refused(10.25), stopped=10.25) == ["chaos:kill", "m.jsonl:102"]
    assert killed(refused(10.0), stopped=10.25) == []
    assert killed(refused(10.25), stopped=10.0) == [], "it had stopped by then"
    assert killed(refused(10.25)) == []


def test_the_killed_bring_no_result() -> None:
    def after(ended: float, by: str = "m") -> list[str]:
        done = job(result=result(by=by, ended=ended))
        jobs = [job("none"), done]
        run = facts(members=[member("m")], strikes=[strike()], jobs=jobs, plan=plan())
        return said(effect(run))

    assert after(10.5) == []
    assert after(11.0, "n") == []
    assert after(11.0) == [
        "broken strike-without-effect: strike 0: kill of m shows nowhere (chaos:kill server.json#t)"
    ]


def test_the_terminated_stop_or_die() -> None:
    assert shows("terminate", stopped=10.0) == []
    assert shows("terminate", stopped=None, died=12.0) == []
    assert shows("terminate", refused(1.0), stopped=9.0) == ["chaos:terminate", "m.jsonl:10"]
    last = [refused(1.0), refused(2.0)]
    assert shows("terminate", *last, stopped=None) == ["chaos:terminate", "m.jsonl:20"]
    assert shows("terminate", stopped=9.5, asked=9.5) == []


@pytest.mark.parametrize(
    ("fault", "cut", "level"),
    [
        ("terminate", "m", "unproved"),
        ("terminate", "x", "broken"),
        ("pause", "m", "broken"),
    ],
)
def test_only_that_a_member_did_not_end_needs_its_whole_journal(
    fault: str, cut: str, level: str
) -> None:
    went_on = member("m", stopped=None, lines=[refused(11.0)])
    gaps = without_the_journal_of(cut)
    run = facts(members=[went_on], strikes=[strike(fault)], plan=plan(), coverage=gaps)
    assert [one.level for one in effect(run)] == [level]


def test_the_frozen_write_nothing_until_they_thaw() -> None:
    assert shows("pause", refused(10.5), refused(20.0), healed=20.0) == []
    assert shows("pause", refused(19.5), healed=20.0) == ["chaos:pause", "m.jsonl:195"]
    assert shows("pause", refused(50.0)) == ["chaos:pause", "m.jsonl:500"], "it was for good"
    assert shows("pause", refused(50.0), ended=50.0) == []


def test_the_clocks_of_a_lent_fleets_machines_may_differ_by_a_second() -> None:
    lent: dict[str, Any] = {"place": "kubernetes"}
    assert shows("pause", refused(19.0), healed=20.0, **lent) == []
    assert shows("pause", refused(18.5), healed=20.0, **lent) == ["chaos:pause", "m.jsonl:185"]
    assert shows("terminate", stopped=9.0, **lent) == []
    assert shows("terminate", stopped=8.5, **lent) == ["chaos:terminate", "m.jsonl:10"]


def at_15(line: j.Line) -> Entry:
    return entry(replace(line, at=15.0, who="m"))


def ended(outcome: str) -> Entry:
    line = j.Ended(job="t", task="t", attempt=1, function="f", outcome=outcome, seconds=1.0)
    return at_15(line)


@pytest.mark.parametrize(
    ("line", "needs_the_server"),
    [
        *((ended(one), True) for one in ("resolved", "rejected", "suspended", "released")),
        *((ended(one), False) for one in ("lost", "refused", "cancelled")),
        (at_15(j.StepEnded(job="t", attempt=1, promise="t:1", seconds=1.0)), True),
        (at_15(j.Claimed(job="t", task="t", attempt=1, function="f", waited=0.0)), True),
        (at_15(j.StepBegan(job="t", attempt=1, promise="t:1")), False),
    ],
)
def test_the_cut_off_do_nothing_that_needs_the_server(
    line: Entry, *, needs_the_server: bool
) -> None:
    assert bool(shows("partition", line)) == needs_the_server


def sign(kind: type[j.Line], at: float) -> Entry:
    given: dict[type[j.Line], dict[str, Any]] = {
        j.ServerLost: {"why": "reset"},
        j.StewardStarted: {"version": "1"},
        j.MemberStarted: {"group": "g", "slots": 1, "process": 1, "version": "1"},
        j.Joined: {"member": "m", "group": "g"},
    }
    return entry(kind(at=at, who="x", **given[kind]))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("server-restart", j.ServerLost),
        ("steward-kill", j.StewardStarted),
        ("scale", j.MemberStarted),
        ("rolling-restart", j.Joined),
    ],
)
@pytest.mark.parametrize(
    ("at", "healed", "in_time"),
    [
        (-0.5, None, False),
        (9.0, None, True),
        (70.0, None, True),
        (70.5, None, False),
        (80.0, 20.0, True),
        (80.5, 20.0, False),
    ],
)
def test_a_strike_at_all_shows_by_its_sign_within_a_minute(
    fault: str, kind: type[j.Line], at: float, healed: float | None, *, in_time: bool
) -> None:
    struck = [strike(fault, 10.0, "fleet", healed=healed)]
    found = said(effect(facts(strikes=struck, lines=[sign(kind, at)])))
    says = f"strike 0: {fault} of fleet shows nowhere (chaos:{fault})"
    assert found == ([] if in_time else [f"broken strike-without-effect: {says}"])


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        ({"stopped": 8.5}, False),
        ({"stopped": 9.0}, True),
        ({"stopped": 70.0}, True),
        ({"stopped": 70.5}, False),
        ({"stopped": None, "died": 20.0}, True),
        ({"stopped": None, "lines": [refused(20.0)]}, False),
    ],
)
def test_members_that_end_show_a_change_of_members_and_nothing_else(
    ends: dict[str, Any], *, shown: bool
) -> None:
    def went_unseen(fault: str) -> bool:
        return bool(
            said(effect(facts(members=[member(**ends)], strikes=[strike(fault, target="")])))
        )

    assert went_unseen("scale") != shown
    assert went_unseen("server-restart")


@pytest.mark.parametrize(("at", "level"), [(-0.5, "broken"), (0.0, "unproved"), (8.5, "unproved")])
def test_a_sign_from_shortly_before_a_strike_may_be_dated_by_another_clock(
    at: float, level: str
) -> None:
    struck = [strike("steward-kill", 10.0, "steward")]
    found = effect(facts(strikes=struck, lines=[sign(j.StewardStarted, at)]))
    assert [one.level for one in found] == [level]


@pytest.mark.parametrize(
    ("fault", "level"),
    [("steward-kill", "unproved"), ("kill-with-steward", "unproved"), ("kill", "broken")],
)
def test_a_stewards_journal_with_gaps_does_not_show_that_it_was_spared(
    fault: str, level: str
) -> None:
    gaps = without_the_journal_of(stewards=True)
    went_on = member("m", stopped=None, lines=[refused(11.0)])
    run = facts(members=[went_on], strikes=[strike(fault)], plan=plan(), coverage=gaps)
    assert [one.level for one in effect(run)] == [level]


@pytest.mark.parametrize("fault", ["scale", "rolling-restart"])
@pytest.mark.parametrize(("place", "shown"), [("processes", False), ("kubernetes", True)])
def test_members_that_the_run_itself_ends_show_nothing(
    fault: str, place: str, *, shown: bool
) -> None:
    """But a lent fleet goes on after the run."""
    over = entry(j.RunEnded(finished=True, at=20.0, who="chaos"))
    left = [member("m", stopped=20.5)]
    struck = [strike(fault, target="members", healed=15.0)]
    run = facts(members=left, strikes=struck, lines=[over], plan=plan(place=place))
    assert (said(effect(run)) == []) == shown


@pytest.mark.parametrize(("to", "reached"), [(0, True), (1, True), (2, True), (3, False)])
def test_a_scaling_comes_to_its_number(to: int, *, reached: bool) -> None:
    """Two members at the strike; one ends at 20, the other at 30."""
    both = [member("m", stopped=20.0), member("n", stopped=30.0)]
    planned = {"strike": 0, "fault": "scale", "trigger": "", "target": "", "to": to}
    struck = [strike("scale", target="members", held=[])]
    run = facts(members=both, strikes=struck, plan=plan(strikes=[planned]))
    assert (said(effect(run)) == []) == reached


@pytest.mark.parametrize(("at", "reached"), [(25.0, True), (5.0, False), (45.0, False)])
def test_a_scaling_amid_which_another_strike_ends_a_member(at: float, *, reached: bool) -> None:
    """Three are to be up: the third is ready when one of the two has been killed."""
    members = [member("m", stopped=None, died=25.0), member("n"), member("o", ready=26.0)]
    planned = {"strike": 0, "fault": "scale", "trigger": "", "target": "", "to": 3}
    struck = [strike("scale", target="members", held=[], healed=30.0), strike(at=at, target="m")]
    run = facts(members=members, strikes=struck, plan=plan(strikes=[planned]))
    unseen = [one for one in said(effect(run)) if "scale" in one]
    assert (unseen == []) == reached


@pytest.mark.parametrize(("ends", "replaced"), [(15.0, True), (90.0, False)])
def test_a_rolling_restart_comes_to_every_member(ends: float, *, replaced: bool) -> None:
    both = [member("m", stopped=12.0), member("n", stopped=ends)]
    struck = [strike("rolling-restart", target="members")]
    over = entry(j.RunEnded(finished=True, at=80.0, who="chaos"))
    run = facts(members=both, strikes=struck, lines=[over], plan=plan())
    assert (said(effect(run)) == []) == replaced

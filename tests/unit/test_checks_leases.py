"""When a lease was ignored, lapsed for no reason, or a member died of nothing."""

import msgspec
import pytest

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.run import Guarantees
from resonate_fleet.report.checks.leases import deaths, ignored, lapsed, outages
from resonate_fleet.report.facts import AttemptFacts
from tests.support.facts import (
    Entry,
    attempt,
    entry,
    facts,
    plan,
    said,
    strike,
    without_the_journal_of,
)


def lost(at: float, who: str = "m") -> Entry:
    return entry(j.ServerLost(why="reset", at=at, who=who))


def back(at: float, who: str = "m") -> Entry:
    return entry(j.ServerBack(seconds=1.0, at=at, who=who))


def test_outages_are_restarts_and_freezes_with_a_second_on_either_side() -> None:
    struck = [
        strike("server-restart", 11.0, asked=10.0, healed=15.0),
        strike("pause", 21.0, asked=20.0),
        strike("kill", 25.0),
        strike("partition", 31.0, asked=30.0, healed=33.0),
    ]
    assert outages(facts(strikes=struck)) == [(9.0, 16.0), (19.0, 22.0), (29.0, 34.0)]


def test_outages_are_what_members_say_of_the_server_each_for_itself() -> None:
    lines = [back(39.0), lost(40.0), back(41.0, "n"), back(45.0), back(47.0)]
    lines += [lost(50.0, "n"), back(50.0, "n"), lost(60.0, "k")]
    assert outages(facts(lines=lines)) == [(39.0, 46.0), (49.0, 51.0), (59.0, 61.0)]


def followed(until: float, outcome: str = "lost") -> tuple[AttemptFacts, AttemptFacts]:
    """Return a claim of 10 to `until`, and one by another member at 12."""
    return attempt(until=until, outcome=outcome), attempt(number=2, member="n", began=12.0)


def test_a_member_may_go_on_until_its_next_heartbeat_and_two_seconds() -> None:
    run = plan(lease=6.0)
    assert said(ignored(facts(*followed(17.0), plan=run))) == []
    [ignores] = said(ignored(facts(*followed(18.0), plan=run)))
    assert ignores == (
        "broken lease-ignored: m went on with claim 1 of t for 1.0 s after it should have stopped;"
        " n had claimed it (m:t/1 n:t/2 m:t/1-end)"
    )
    assert said(ignored(facts(*followed(18.0, "cut"), plan=run))) == []
    assert said(ignored(facts(*followed(18.0)))) == [], "nobody knows how long a lease was"


def test_a_body_that_is_over_ignores_nothing() -> None:
    """Its outcome may be on its way for as long as it takes: the server refuses it."""
    run = plan(lease=6.0)
    one, follower = followed(30.0, "refused")
    late, soon = (msgspec.structs.replace(one, writing=seconds) for seconds in (12.0, 13.0))
    [ignores] = said(ignored(facts(late, follower, plan=run)))
    assert ignores.startswith("broken lease-ignored: m went on with claim 1 of t for 1.0 s after")
    assert said(ignored(facts(soon, follower, plan=run))) == []


def test_a_frozen_member_has_that_time_from_when_it_is_back() -> None:
    run, frozen = plan(lease=6.0), [strike("pause", 11.0, healed=12.0)]
    assert said(ignored(facts(*followed(18.0), plan=run, strikes=frozen))) == []
    assert len(said(ignored(facts(*followed(18.5), plan=run, strikes=frozen)))) == 1
    just, later = [lost(19.5), back(19.5)], [lost(20.0), back(20.0)]
    assert said(ignored(facts(*followed(18.5), plan=run, lines=just))) == []
    assert len(said(ignored(facts(*followed(18.5), plan=run, lines=later)))) == 1


@pytest.mark.parametrize("outcome", ["suspended", "released", "unknown-function", "cut"])
def test_what_was_given_back_or_died_is_no_lapse(outcome: str) -> None:
    assert said(lapsed(facts(*followed(20.0, outcome)))) == []


def test_a_lapse_that_nothing_explains() -> None:
    says = "m lost claim 1 of t, and nothing had struck it (m:t/1 m:t/1-end n:t/2)"
    assert said(lapsed(facts(*followed(20.0)))) == [f"broken unexplained-lapse: {says}"]
    assert said(lapsed(facts(*followed(20.0), strikes=[strike("pause", 15.0)], plan=plan()))) == [
        f"broken unexplained-lapse: {says}"
    ]
    others = without_the_journal_of("x")
    assert said(lapsed(facts(*followed(20.0), coverage=others)))[0].startswith("broken")
    gaps = without_the_journal_of("m")
    assert said(lapsed(facts(*followed(20.0), coverage=gaps))) == [
        f"unproved unexplained-lapse: {says}"
    ]
    assert said(lapsed(facts(attempt(outcome="lost")))) == [], "nobody has claimed it since"


def test_each_lapse_is_named_whatever_was_given_back_before() -> None:
    before = attempt("a", outcome="released"), attempt("a", 2, "n")
    assert len(said(lapsed(facts(*before, *followed(20.0))))) == 1


def test_hand_overs_and_strikes_at_the_fleet_explain_a_lapse() -> None:
    handed = j.HandedOver(job="t", task="t", attempt=1, member="m", seconds=0.1, who="steward")
    assert said(lapsed(facts(*followed(20.0), lines=[entry(handed)]))) == []
    for fault in ("scale", "rolling-restart"):
        struck = [strike(fault, 15.0, "fleet")]
        assert said(lapsed(facts(*followed(20.0), strikes=struck, plan=plan()))) == []


@pytest.mark.parametrize(
    ("gone", "again", "explains"),
    [
        (11.0, 36.25, True),
        (11.0, 35.5, False),  # 26.5 s and three to renew: half of the lease were left
        (21.0, 57.0, True),
        (21.5, 57.5, False),  # begins when the claim is over
        (-27.0, 9.0, True),
        (-27.5, 8.5, False),  # is over before the claim
    ],
)
def test_an_outage_explains_a_lapse_if_it_is_long_and_falls_into_the_claim(
    gone: float, again: float, *, explains: bool
) -> None:
    run = facts(*followed(20.0), lines=[lost(gone), back(again)], plan=plan(lease=60.0))
    assert (said(lapsed(run)) == []) == explains


def test_without_a_plan_any_outage_explains_a_lapse() -> None:
    assert said(lapsed(facts(*followed(20.0), lines=[lost(15.0), back(15.0)]))) == []


def death(at: float) -> Entry:
    return entry(j.Died(member="m", tasks=[], at=at, who="s"))


def test_a_death_and_a_false_alarm_for_no_reason() -> None:
    joined = entry(j.Joined(member="m", group="g", who="steward"))
    alarm = entry(j.FalseAlarm(member="m", at=11.0, who="s"), 2)
    told = [
        "broken unexplained-death: m died and nothing had struck it (s.jsonl:1)",
        "broken unexplained-death: m was taken for dead and nothing had struck it (s.jsonl:2)",
    ]
    for run in (None, plan()):
        assert said(deaths(facts(lines=[joined, death(10.0), alarm], plan=run))) == told
    poison = plan(guarantees=Guarantees(parked=1))
    assert said(deaths(facts(lines=[death(10.0)], plan=poison))) == []


@pytest.mark.parametrize(
    ("fault", "target", "healed", "at", "explains"),
    [
        ("kill", "m", None, 9.0, True),  # clocks may differ by a second
        ("kill", "m", None, 8.5, False),
        ("kill", "m", None, 1000.0, True),
        ("kill", "n", None, 11.0, False),
        ("terminate", "m", None, 130.0, True),
        ("terminate", "m", None, 131.0, False),
        ("pause", "m", 40.0, 160.0, True),
        ("pause", "m", 40.0, 160.5, False),
        ("pause", "n", 40.0, 50.0, False),
        ("scale", "fleet", None, 130.0, True),
        ("rolling-restart", "fleet", None, 131.0, False),
        ("server-restart", "server", None, 11.0, False),
    ],
)
def test_what_explains_a_death(
    fault: str, target: str, healed: float | None, at: float, *, explains: bool
) -> None:
    run = facts(lines=[death(at)], strikes=[strike(fault, 10.0, target, healed=healed)])
    assert (said(deaths(run)) == []) == explains

"""Whether the struck came back, whether a steward died too, and whether anything was recovered."""

from typing import Any

import pytest

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.run import Guarantees, PlannedStrike
from resonate_fleet.report.checks.sources import freed_by_nobody
from resonate_fleet.report.checks.strikes import COMES_BACK, effect, healed, recovered
from resonate_fleet.report.facts import CUT
from resonate_fleet.report.findings import Finding
from resonate_fleet.report.recoveries import predicted
from tests.support.facts import Entry, attempt, entry, facts, member, plan, strike

INTENDED = PlannedStrike(strike=0, fault="kill", trigger="at 5 s", target="anybody")


def shown(findings: list[Finding]) -> list[tuple[str, str, list[str]]]:
    return [(one.name, one.says, list(one.evidence)) for one in findings]


def handed_over(task: str = "t", number: int = 1, at: float = 11.0) -> Entry:
    line = j.HandedOver(job=task, task=task, attempt=number, member="m", seconds=1, at=at, who="s")
    return entry(line)


# Recoveries.


def promised(seconds: float | None = 3.0) -> Any:
    return plan(strikes=[INTENDED], guarantees=Guarantees(recovery_seconds=seconds))


def test_a_promise_about_recoveries_in_a_run_that_had_none_is_named() -> None:
    lost = attempt(outcome=CUT)
    expected = (
        "nothing-recovered",
        "3 s are promised and no job was claimed again",
        ["plan.json", "chaos:kill"],
    )
    for attempts in ((), (lost,)):
        run = facts(*attempts, strikes=[strike()], plan=promised())
        assert shown(list(recovered(run))) == [expected]


@pytest.mark.parametrize(
    "more",
    [
        {"plan": None},
        {"plan": promised(None)},
        {"plan": plan(guarantees=Guarantees(recovery_seconds=3.0))},
        {"plan": promised(), "lines": [handed_over()]},
    ],
    ids=["no plan", "no promise", "no strikes", "handed over"],
)
def test_without_promise_or_strikes_or_where_it_was_handed_over_nothing_is_named(
    more: dict[str, Any],
) -> None:
    assert list(recovered(facts(strikes=[strike()], **more))) == []


def test_one_job_that_was_claimed_again_is_a_recovery() -> None:
    lost, again = attempt(outcome=CUT), attempt(number=2, member="n", began=30.0)
    run = facts(lost, again, attempt("other", outcome=CUT), strikes=[strike()], plan=promised())
    assert list(recovered(run)) == []


#: The soonest that a lease lapses after its member was killed.
LOW = predicted(plan(), "lapsed")[0]


def freed(seconds: float | None, *faults: str, lines: tuple[Entry, ...] = ()) -> list[Finding]:
    """A claim of `m`, which ended at 20, and its next one so many seconds later."""
    attempts = [attempt(outcome=CUT)]
    if seconds is not None:
        attempts.append(attempt(number=2, member="n", began=20.0 + seconds))
    struck = [strike(one, 20.0) for one in faults]
    run = facts(*attempts, members=[member()], strikes=struck, lines=lines, plan=plan())
    return list(freed_by_nobody(run))


def test_a_lease_of_the_killed_that_came_free_too_soon_lacks_a_line() -> None:
    says = "claim 1 of t came free in 5.0 s, and nobody says that it was handed over"
    assert shown(freed(5.0, "kill")) == [
        ("missing-source", f"{says}: a line is missing", ["server.json#t"])
    ]
    assert freed(LOW - 1.01, "kill")


@pytest.mark.parametrize(
    ("seconds", "faults", "lines"),
    [
        (LOW - 0.99, ("kill",), ()),
        (None, ("kill",), ()),
        (5.0, ("pause",), ()),
        (5.0, ("kill", "pause"), ()),
        (5.0, (), ()),
        (5.0, ("kill",), (handed_over(),)),
    ],
    ids=["lapsed", "never", "paused", "paused too", "not struck", "handed over"],
)
def test_nothing_is_missing_where_something_else_explains_it(
    seconds: float | None, faults: tuple[str, ...], lines: tuple[Entry, ...]
) -> None:
    assert freed(seconds, *faults, lines=lines) == []


# Whoever was paused or cut off.


def mine(line: type[j.Line], at: float, **more: Any) -> Entry:
    return entry(line(at=at, who="m", **more), 7)


def ended(at: float, outcome: str) -> Entry:
    more = {"job": "t", "task": "t", "attempt": 1, "function": "f", "seconds": 1.0}
    return mine(j.Ended, at, outcome=outcome, **more)


def of(line: type[j.Line], at: float, who: str = "m", **more: Any) -> Entry:
    return entry(line(member=who, at=at, who="steward", **more))  # type: ignore[call-arg] # as each has


def absent(fault: str, *lines: Entry, **more: Any) -> list[Finding]:
    """What is said of `m` if it was struck at 10 and healed at 20, and these lines stand there."""
    given: dict[str, Any] = {"strikes": [strike(fault, healed=20.0)], "plan": plan()} | more
    own = [entry(j.MemberReady(who="m")), *(one for one in lines if one.line.who == "m")]
    return list(healed(facts(members=[member(lines=own)], lines=lines, **given)))


@pytest.mark.parametrize("fault", ["pause", "partition"])
def test_a_member_that_is_not_heard_after_its_healing_is_named(fault: str) -> None:
    before = mine(j.ServerBack, 19.9, seconds=1.0)
    says = f"strike 0: m is not heard after its {fault}"
    assert shown(absent(fault, before)) == [
        ("strike-not-healed", says, [f"chaos:{fault}", "m.jsonl:7"])
    ]


def test_a_paused_member_is_heard_by_any_line() -> None:
    assert absent("pause", ended(20.0, "lost")) == []


@pytest.mark.parametrize(
    ("line", "heard"),
    [
        (mine(j.ServerBack, 20.0, seconds=1.0), True),
        (ended(20.0, "resolved"), True),
        (ended(20.0, "lost"), False),
        (of(j.Joined, 20.0, group="g"), True),
        (of(j.Left, 20.0), True),
        (of(j.FalseAlarm, 20.0), True),
        (of(j.Joined, 19.9, group="g"), False),
        (of(j.Joined, 20.0, "n", group="g"), False),
        (of(j.Died, 20.0, tasks=[]), False),
    ],
)
def test_a_member_that_was_cut_off_is_heard_by_others(line: Entry, *, heard: bool) -> None:
    assert (absent("partition", line) == []) == heard


def over(at: float) -> Entry:
    return entry(j.RunEnded(finished=True, at=at, who="chaos"))


@pytest.mark.parametrize(
    "found",
    [
        absent("partition", plan=None),
        absent("partition", plan=plan(steward=False)),
        absent("partition", over(19.9 + COMES_BACK)),
        absent("pause", strikes=[strike("pause", healing=None)]),
        absent("pause", strikes=[strike("pause", healed=20.0), strike("kill", 15.0)]),
        absent("pause", strikes=[strike("pause", target="n", healed=20.0)]),
        absent("terminate"),
    ],
    ids=["no plan", "no steward", "run over", "not healed", "killed", "unknown", "no freezing"],
)
def test_a_member_that_need_not_be_heard_is_not_named(found: list[Finding]) -> None:
    assert found == []


def test_seconds_are_enough_to_come_back() -> None:
    assert len(absent("partition", over(20.0 + COMES_BACK))) == 1
    assert len(absent("partition", over(20.0), plan=plan(place="kubernetes"))) == 1, "lent"


# Whoever was to die with its steward.

SHOWS_ON = facts(plan=plan()).evidence.traits.shows_on


def started(at: float, who: str = "s") -> Entry:
    return entry(j.StewardStarted(version="1", at=at, who=who))


def wrote(at: float, who: str = "s") -> Entry:
    return entry(j.Joined(member="x", group="g", at=at, who=who), 9)


def unshown(*lines: Entry, fault: str = "kill-with-steward") -> list[list[str]]:
    run = facts(members=[member()], strikes=[strike(fault)], lines=lines, plan=plan())
    return [list(one.evidence) for one in effect(run)]


LATER = 10.0 + SHOWS_ON + 1.0


def test_a_steward_that_wrote_on_has_not_died() -> None:
    where = ["chaos:kill-with-steward", "s.jsonl:9"]
    assert unshown(started(10.0), wrote(LATER)) == [where]
    assert unshown(started(0.0), wrote(LATER), wrote(LATER + 1)) == [where]
    assert unshown(started(0.0), wrote(LATER), started(LATER + 1)) == [where]
    both = (started(0.0), started(0.0, "r"), wrote(LATER), wrote(LATER, "r"))
    assert unshown(*both) == [[where[0], "r.jsonl:9", where[1]]]


@pytest.mark.parametrize(
    "found",
    [
        unshown(started(0.0), wrote(10.0 + SHOWS_ON)),
        unshown(started(0.0), wrote(LATER + 1), started(LATER)),
        unshown(started(0.0), started(0.0, "r"), wrote(LATER)),
        unshown(started(10.5), wrote(LATER)),
        unshown(started(0.0), wrote(LATER), fault="kill"),
    ],
    ids=["under way", "restarted", "the other", "a later one", "member alone"],
)
def test_a_steward_that_fell_silent_or_was_not_meant_is_not_named(found: list[list[str]]) -> None:
    assert found == []

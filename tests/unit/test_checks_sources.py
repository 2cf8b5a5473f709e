"""Who is heard, whose clock is wrong, and who did nothing."""

from collections.abc import Callable, Iterator

import pytest

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.run import Guarantees
from resonate_fleet.report.checks import run
from resonate_fleet.report.checks.sources import (
    backwards,
    far,
    idle_members,
    incomplete,
    too_early,
)
from resonate_fleet.report.facts import Coverage, Facts
from resonate_fleet.report.findings import Finding
from tests.support.facts import (
    Entry,
    attempt,
    confirmed,
    entry,
    facts,
    job,
    member,
    plan,
    record,
    result,
    said,
)


def at(seconds: float, number: int = 1, who: str = "m") -> Entry:
    return entry(j.ServerBack(seconds=1.0, at=seconds, who=who), number)


def test_what_is_missing_and_what_is_cut() -> None:
    gaps = Coverage(missing={"the plan is missing": ["a:1", "b:2"]}, cut={"m": ["m.jsonl:9"]})
    assert said(incomplete(facts(coverage=gaps))) == [
        "unproved missing-source: the plan is missing (a:1 b:2)",
        (
            "unproved journal-cut: the journal of m has a broken line or does not go to its end"
            " (m.jsonl:9)"
        ),
    ]


def test_broken_promises_come_before_what_is_unproved() -> None:
    gaps = Coverage(missing={"the plan": []})
    dead = entry(j.Died(member="m", tasks=[], who="s"))
    assert [one.level for one in run(facts(coverage=gaps, lines=[dead]))] == ["broken", "unproved"]


def test_a_file_goes_back_by_more_than_a_second() -> None:
    lines = [at(10.0, 1), at(9.5, 2), at(9.0, 3), at(8.75, 4), at(1.0, 5)]
    assert said(backwards(facts(lines=lines[::-1]))) == [
        "unproved clock-nonsense: m.jsonl goes back 1.2 s at line 4 (m.jsonl:4)"
    ], "once a file"


def test_each_file_has_a_clock_of_its_own() -> None:
    struck = j.StrikeDone(strike=0, fault="kill", target="m", answer="", at=1.0, who="m")
    lines = [entry(struck, 2), at(10.0, 1), at(5.0, 3), at(7.0, 1, "n"), at(6.5, 2, "n")]
    lines += [at(20.0, 1, "o"), at(15.0, 2, "o")]
    assert [one.evidence for one in backwards(facts(lines=lines))] == [["m.jsonl:3"], ["o.jsonl:2"]]
    assert said(backwards(facts(lines=[at(10.0, 1), entry(struck, 2)]))) == []


@pytest.mark.parametrize(
    ("seconds", "off"),
    [(-86_400.0, "-86400"), (-86_399.0, ""), (3599.0, ""), (3600.0, "+3600")],
)
def test_a_line_is_dated_far_from_the_run(seconds: float, off: str) -> None:
    then = 1_000_000.0
    lines = [at(then, 1), at(then + seconds, 2), at(then + seconds, 3)]
    says = f"m.jsonl:2 is dated {off} s from the server's records (m.jsonl:2)"
    found = said(far(facts(lines=lines, records_at=then)))
    assert found == ([f"unproved clock-nonsense: {says}"] if off else [])
    assert said(far(facts(lines=lines))) == [], "nobody knows when the run was"


def test_a_claim_before_its_job() -> None:
    def early(created: int) -> list[str]:
        made = job(record=record(created_at=created), attempts=[attempt()])
        return said(too_early(facts(jobs=[job("none"), made])))

    assert early(11_000) == []
    assert early(11_500) == [
        "unproved clock-nonsense: job t was claimed 1.5 s before it was made (m:t/1 server.json#t)"
    ]
    unknown = job(record=None, confirmed=[confirmed(at=50.0)], attempts=[attempt()])
    assert said(too_early(facts(jobs=[unknown]))) == [], "the client's clock is another"


def test_a_result_that_ended_before_it_began() -> None:
    def ends(at: float) -> list[str]:
        return said(too_early(facts(jobs=[job(result=result(began=10.0, ended=at))])))

    assert ends(10.0) == []
    assert ends(9.5) == [
        "unproved clock-nonsense: the result of job t ended before it began (server.json#t)"
    ]


@pytest.mark.parametrize(
    ("ready", "until", "idle"),
    [
        (0.0, 100.0, True),
        (9.0, 100.0, True),
        (9.5, 100.0, False),  # a job waited for half a second
        (0.0, 1.0, True),
        (0.0, 0.5, False),
        (None, 100.0, False),
    ],
)
def test_a_member_that_did_nothing_while_a_job_waited(
    ready: float | None, until: float, *, idle: bool
) -> None:
    lines = [at(0.0, 1, "n"), at(1.0, 2, "n"), at(2.0, 3, "n")]
    nobody = member("n", started=0.5, ready=ready, stopped=until, lines=lines)
    busy = member("m", attempts=[attempt()])
    waited = job(attempts=[attempt()])  # from 0 to 10
    for promised in (None, plan()):
        run = facts(members=[busy, nobody], jobs=[waited], plan=promised)
        says = f"n claimed nothing in {until - 0.5:.1f} s (n.jsonl:1 n.jsonl:3)"
        assert said(idle_members(run)) == ([f"unproved idle-member: {says}"] if idle else [])


def test_a_scenario_may_leave_members_idle() -> None:
    waited = job(attempts=[attempt()])
    lenient = plan(guarantees=Guarantees(every_member_works=False))
    assert said(idle_members(facts(members=[member("n")], jobs=[waited], plan=lenient))) == []


@pytest.mark.parametrize("check", [incomplete, backwards, far, too_early, idle_members])
def test_nothing_is_said_of_nothing(check: Callable[[Facts], Iterator[Finding]]) -> None:
    assert said(check(facts())) == []

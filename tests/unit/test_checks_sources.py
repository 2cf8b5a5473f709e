"""Who is heard, whose clock is wrong, and who did nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.run import Guarantees
from resonate_fleet.report.checks import run
from resonate_fleet.report.checks.sources import (
    CHECKS,
    backwards,
    chaos_in_order,
    far,
    idle_members,
    incomplete,
    jobs_in_order,
    stewards_in_order,
    strikes_in_order,
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
    strike,
    without_the_journal_of,
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
        sent = [confirmed(at=created / 1000)]
        made = job(record=record(created_at=created), confirmed=sent, attempts=[attempt()])
        return said(jobs_in_order(facts(jobs=[job("none"), made])))

    assert early(11_000) == []
    assert early(11_500) == [
        "unproved clock-nonsense: job t was claimed 1.5 s before it was made (m:t/1 server.json#t)"
    ]
    unknown = job(record=None, confirmed=[confirmed(at=50.0)], attempts=[attempt()])
    assert said(jobs_in_order(facts(jobs=[unknown]))) == [], "the client's clock is another"


def test_a_result_that_ended_before_it_began() -> None:
    def ends(at: float) -> list[str]:
        return said(jobs_in_order(facts(jobs=[job(result=result(began=10.0, ended=at))])))

    assert ends(10.0) == []
    assert ends(9.5) == [
        "unproved clock-nonsense: the result of job t ended before it began (server.json#t)"
    ]


def late(found: Iterator[Finding]) -> list[str]:
    """Return each contradiction of two clocks as one line."""
    return [x.removeprefix("unproved clock-nonsense: ") for x in said(found)]


def test_the_server_is_asked_for_what_has_ended() -> None:
    """The job was made at 0 and ended at 20; a client confirmed it."""
    for asked, says in ((19.0, []), (18.5, ["the server was asked 1.5 s before t ended"])):
        found = late(jobs_in_order(facts(jobs=[job()], records_at=asked)))
        assert found == [f"{one} (server.json#t)" for one in says]
    early = job(confirmed=[confirmed(at=-1.0), confirmed(at=-1.5, number=2)])
    assert late(jobs_in_order(facts(jobs=[early]))) == [
        "job t was confirmed 1.5 s before it was made (client.jsonl:2 server.json#t)"
    ]


@pytest.mark.parametrize(
    ("fault", "at", "says"),
    [
        ("kill", 9.0, []),
        ("kill", 8.5, ["strike 0 saw a claim 1.5 s before it was made (chaos:kill m:t/1)"]),
        ("pause", 8.5, []),  # a claim may be written down when its member is thawed
        ("pause", -1.5, ["strike 0 saw t 1.5 s before it was made (chaos:pause server.json#t)"]),
    ],
)
def test_chaos_sees_what_was_there(fault: str, at: float, says: list[str]) -> None:
    """The job was made at 0 and claimed at 10; another member's claim has the same number."""
    struck = strike(fault, at, held=[("t", 1)])
    claims = attempt(began=50.0, member="n"), attempt()
    others = [strike("pause", 30.0), struck]
    assert late(strikes_in_order(facts(*claims, jobs=[job()], strikes=others))) == says


def test_chaos_begins_before_the_load_and_ends_after_it_and_before_its_fleet() -> None:
    def of(begin: float, end: float, *, finished: bool = True, place: str = "compose") -> list[str]:
        """Return what is said of a load from 5 to 20, and members that leave at 30."""
        told: list[j.Line] = [j.RunStarted(scenario="s", seed=1, place="p", at=begin, who="chaos")]
        told += [j.ClientStarted(group="g", count=1, seed=None, at=5.0)]
        told += [j.Left(member="m", at=30.0, who="s")]
        told += [j.RunEnded(finished=finished, at=end, who="chaos")]
        lines = [entry(one, number) for number, one in enumerate(told, 1)]
        return late(chaos_in_order(facts(jobs=[job()], lines=lines, plan=plan(place=place))))

    assert of(6.0, 19.0) == []
    assert of(6.5, 18.5) == [
        "a client started 1.5 s before chaos began the run (chaos.jsonl:1 plan.json)",
        "chaos ended the run 1.5 s before its last job (chaos.jsonl:4)",
    ]
    assert of(6.0, 1.0, finished=False) == []
    assert of(6.0, 31.0) == []
    says = "the fleet was gone 1.5 s before chaos ended the run (chaos.jsonl:4)"
    assert of(6.0, 31.5) == of(6.0, 31.5, finished=False) == [says]
    assert of(6.0, 31.5, place="kubernetes") == [], "a lent fleet stays"


def test_a_steward_sees_members_while_they_are_there() -> None:
    def of(joined: float, **more: Any) -> list[str]:
        """Return what is said of a member from 5 to 40."""
        lines = [entry(j.MemberReady(at=at, who="m"), int(at)) for at in (5.0, 6.0, 40.0)]
        there = member(started=5.0, stopped=40.0, lines=lines)
        seen = [entry(j.Joined(member=name, group="g", at=joined, who="s")) for name in "mx"]
        return late(stewards_in_order(facts(members=[there], lines=seen, **more)))

    assert of(4.0) == of(41.0) == []
    assert of(3.5) == ["m joined 1.5 s before it started (s.jsonl:1 m.jsonl:5)"]
    assert of(41.5) == ["m ended 1.5 s before it joined (s.jsonl:1 m.jsonl:40)"]
    assert of(41.5, coverage=without_the_journal_of("m")) == [], "it may have said more"


def test_the_struck_end_after_the_strike() -> None:
    """A member is struck at 10 and 15 with a claim, at 7 without any."""
    struck = [strike(at=at, held=[("t", 1)]) for at in (15.0, 10.0)] + [strike(at=7.0)]

    def of(died: float, stopped: float) -> list[str]:
        over = j.MemberStopped(done=1, failed=0, handed_back=0, lost=0, at=stopped, who="m")
        seen = [entry(j.Died(member="m", tasks=[], at=died, who="s")), entry(over)]
        return late(stewards_in_order(facts(lines=seen, strikes=struck)))

    assert of(9.0, 9.0) == []
    assert of(8.5, 8.0) == [
        "m ended 1.5 s before it was struck (s.jsonl:1 chaos:kill)",
        "m ended 2.0 s before it was struck (m.jsonl:1 chaos:kill)",
    ]


@pytest.mark.parametrize(("at", "late_by"), [(31.0, ""), (31.5, "1.5")])
def test_a_claim_follows_its_hand_over(at: float, late_by: str) -> None:
    given = j.HandedOver(job="t", task="t", attempt=1, member="m", seconds=0.1, at=at, who="s")
    claims = attempt(outcome="cut"), attempt(number=2, member="n", began=30.0)
    says = f"claim 2 of t was made {late_by} s before claim 1 was handed over (n:t/2 s.jsonl:1)"
    found = late(stewards_in_order(facts(*claims, lines=[entry(given)])))
    assert found == ([says] if late_by else [])


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


@pytest.mark.parametrize("check", CHECKS)
def test_nothing_is_said_of_nothing(check: Callable[[Facts], Iterator[Finding]]) -> None:
    assert said(check(facts())) == []

"""Which claims of the server may be missing in the journals, to the second."""

from typing import Any

import pytest
from msgspec.structs import replace

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.words import TAG_TIMER
from resonate_fleet.report.checks.claims import counted, granted_twice, loose_ends
from resonate_fleet.report.facts import AttemptFacts, MemberFacts
from tests.support.facts import (
    Entry,
    attempt,
    entry,
    facts,
    job,
    member,
    plan,
    planned,
    record,
    result,
    said,
    strike,
    without_the_journal_of,
)

#: Of three claims of t the second stands nowhere: it was between 20 and 30.
AROUND = (attempt(outcome="released"), attempt(number=3, began=30.0, until=40.0))


def missing(*claims: AttemptFacts, **more: Any) -> bool:
    """Say whether claim 2 of t is missed."""
    jobs = [job(record=record(version=3), planned=more.pop("planned", planned()))]
    jobs += more.pop("jobs", [])
    says = [one.says for one in counted(facts(*(claims or AROUND), jobs=jobs, **more))]
    assert says in ([], ["no member wrote down claim 2 of t"])
    return bool(says)


def test_claims_that_the_server_did_not_count_and_that_nobody_wrote_down() -> None:
    claims = [attempt(number=number) for number in (1, 2, 3, 4, 7)]
    jobs = [job("none", record=None), job(record=record(version=5))]
    told = [
        (
            "broken claim-count-disagrees: m wrote down claim 7 of t; the server counts 5"
            " (m:t/7 server.json#t)"
        ),
        (
            "broken unrecorded-claim: no member wrote down claim 5 of t"
            " (server.json#t m:t/3 m:t/4 m:t/7)"
        ),
    ]
    assert said(counted(facts(*claims, jobs=jobs))) == told
    gaps = without_the_journal_of("x")
    unproved = [told[0], told[1].replace("broken", "unproved")]
    assert said(counted(facts(*claims, jobs=jobs, coverage=gaps))) == unproved


def test_children_are_counted_too_but_for_timers_and_what_is_no_task() -> None:
    timer = record("t:1", 3, tags={TAG_TIMER: "true"})
    untasked = type(timer)(promise=record("t:2").promise)
    children = [timer, untasked, record("t:3")]
    claims = [attempt("t:1", 4), attempt("unknown")]
    assert [one.says for one in counted(facts(*claims, children=children))] == [
        "m wrote down claim 4 of t:1; the server counts 3",
        "no member wrote down claim 1 of t:3",
    ]


def lost(at: float) -> list[Entry]:
    """Return an outage of a second before `at` to a second after it."""
    return [entry(j.ServerLost(why="reset", at=at, who="x"))]


@pytest.mark.parametrize(
    ("at", "missed"), [(18.5, True), (19.0, False), (31.0, False), (31.5, True)]
)
def test_an_outage_between_its_neighbours_excuses_a_claim(at: float, *, missed: bool) -> None:
    assert missing(lines=lost(at)) == missed


def test_one_that_says_nothing_of_its_end_may_have_ended_at_once() -> None:
    claims = [replace(AROUND[0], outcome="open"), AROUND[1]]
    assert missing(*claims, lines=lost(8.5))
    assert not missing(*claims, lines=lost(9.0))


def only_claim_missing(at: float, state: str = "rejected_timedout", **more: Any) -> bool:
    made = record(state=state, **({"created_at": 5000, "settled_at": 40_000} | more))
    return bool(said(counted(facts(jobs=[job(record=made)], lines=lost(at)))))


def test_a_first_claim_lies_between_the_job_and_its_end() -> None:
    assert [only_claim_missing(at) for at in (3.5, 4.0, 41.0, 41.5)] == [True, False, False, True]
    assert not only_claim_missing(9000.0, "pending", settled_at=None)
    assert not only_claim_missing(9000.0, settled_at=None)


def test_nothing_excuses_the_claim_that_brought_the_result() -> None:
    assert only_claim_missing(20.0, "resolved")
    assert only_claim_missing(20.0, "rejected")


def test_a_claim_before_a_job_was_made_counts_from_there() -> None:
    """The clocks differ: it cannot have been claimed again before it was there."""
    made = record(version=2, state="pending", created_at=25_000)
    run: Any = {"jobs": [job(record=made)]}
    assert said(counted(facts(AROUND[0], **run, lines=lost(23.98)))) != []
    assert said(counted(facts(AROUND[0], **run, lines=lost(24.0)))) == []


@pytest.mark.parametrize(
    ("step", "at", "missed"),
    [
        ("intake-closed", 18.5, True),
        ("intake-closed", 19.0, False),  # it was on its way
        ("intake-closed", 30.0, False),
        ("intake-closed", 30.5, True),
        ("finishing", 25.0, True),
    ],
)
def test_a_member_that_was_closing_gave_it_back(step: str, at: float, *, missed: bool) -> None:
    line = j.DrainStep(step=step, held=0, at=at, who="x")
    assert missing(lines=[entry(line)]) == missed


def dead(died: float, *claims: AttemptFacts, **more: Any) -> MemberFacts:
    return member("d", died=died, stopped=None, attempts=list(claims), **more)


def other(began: float, until: float, **more: Any) -> AttemptFacts:
    return attempt("u", 1, "d", began=began, until=until, outcome="cut", **more)


@pytest.mark.parametrize(
    ("one", "missed"),
    [
        (member("d"), True),  # it lives
        (dead(17.5), True),
        (dead(18.0), False),
        (dead(22.0), False),
        (dead(22.5), True),  # two seconds after the job was free its line was due
        (dead(25.0, ready=24.0), False),
        (dead(25.0, ready=None, started=24.0), False),
        (dead(25.0, ready=24.0, started=1.0), False),
        (dead(25.0, ready=None), True),
        (dead(32.0, other(25.0, 31.0)), False),
        (dead(32.5, other(25.0, 32.0)), True),  # claimed by another two seconds before
    ],
)
def test_a_member_that_died_in_the_instant_of_its_claim(one: MemberFacts, *, missed: bool) -> None:
    assert missing(members=[member("x"), one]) == missed


@pytest.mark.parametrize(
    ("one", "missed"),
    [
        (dead(21.0, other(15.0, 21.0)), True),
        (dead(21.0, other(15.0, 40.0)), True),
        (dead(21.0, other(15.0, 21.0), slots=2), False),
        (dead(21.0, other(15.0, 21.0), other(16.0, 21.0), slots=2), True),
        (dead(21.0, other(21.0, 21.0)), True),
        (dead(21.0, other(21.5, 22.0)), False),
        (dead(21.0, other(15.0, 20.5)), False),
        (dead(25.5, other(15.0, 24.0)), False),
        (dead(25.0, other(15.0, 25.0), slots=2), True),  # the other slot was free for long
    ],
)
def test_it_had_a_slot_for_it(one: MemberFacts, *, missed: bool) -> None:
    assert missing(members=[one]) == missed


def test_a_slot_is_free_when_the_body_is_over() -> None:
    """By the result, or by what the job costs; one with steps may have been slow."""
    one = dead(21.0, other(15.0, 21.0))
    steps = planned("u", cost=5.0, steps=2)
    over = result("u", by="d", ended=20.5)

    def taken(**of_job: Any) -> bool:
        return missing(members=[one], jobs=[job("u", record=None, **of_job)])

    assert not taken(planned=steps, result=over)
    assert taken(planned=steps, result=replace(over, member="x"))
    assert taken(planned=steps, result=replace(over, attempt=2))
    assert not taken(planned=planned("u", cost=5.0))
    assert taken(planned=planned("u", cost=6.0))
    assert taken(planned=planned("u", cost=7.0))
    assert taken(planned=steps)
    assert taken(planned=None)


def watched(part: float = 0.9, job: str = "t", target: str = "d", version: int = 2) -> Any:
    return strike(at=21.0, target=target, part=part, job=job, held=[("t", version)])


def test_chaos_that_watched_it_at_work_expects_its_line() -> None:
    def seen(*strikes: Any, **more: Any) -> bool:
        return missing(members=[dead(21.0)], strikes=strikes, **more)

    assert seen(watched())
    assert seen(watched(version=1), watched(job="u"), watched())
    assert not seen(watched(0.03)), "0.3 s"
    assert seen(watched(0.04))
    assert not seen(watched(), planned=planned(steps=3)), "the part is that of its steps"
    assert not seen(watched(), planned=None)
    assert not seen(watched(target="x"))
    assert not seen(watched(version=1))
    assert not seen(watched(job="u"))


def by_the_steward(*lines: j.Line, **more: Any) -> bool:
    told = [entry(replace(one, who="s")) for one in lines]
    given = {"members": [dead(21.0)], "lines": told, "plan": plan()}
    return missing(**(given | more))


def test_a_steward_or_chaos_must_name_it() -> None:
    assert by_the_steward()
    assert not by_the_steward(plan=plan(steward=False))
    assert not by_the_steward(strikes=[watched(0.0)])
    assert by_the_steward(strikes=[watched(0.0, target="x")])
    assert not by_the_steward(j.Died(member="d", tasks=[("a", 1), ("t", 2)]))
    assert by_the_steward(j.Died(member="d", tasks=[("t", 1)]))
    assert by_the_steward(j.Died(member="x", tasks=[("t", 2)]))
    several = [j.Died(member="d", tasks=[("t", 2)]), j.Died(member="d", tasks=[("v", 1)])]
    assert not by_the_steward(*several)
    handed = j.HandedOver(job="t", task="t", attempt=2, member="d", seconds=0.1)
    assert not by_the_steward(handed)
    assert by_the_steward(replace(handed, member="x"))
    assert not by_the_steward(handed, several[1])


def test_a_claim_that_was_granted_twice() -> None:
    claims = [attempt(), attempt(member="n"), attempt(number=2)]
    assert said(granted_twice(facts(*claims, attempt("u")))) == [
        "broken claimed-twice: claim 1 of t: m and n (m:t/1 n:t/1)"
    ]


def test_attempts_without_an_end_and_ends_without_an_attempt() -> None:
    end = j.Ended(job="t", task="t", attempt=2, function="f", outcome="lost", seconds=1.0, who="n")
    claims = [attempt(outcome="open"), attempt(member="n", outcome="lost"), attempt("u", 2, "n")]
    lines = [entry(replace(end, attempt=1)), entry(end, 2)]
    told = [
        "attempt-without-end: m says nothing of how claim 1 of t ended (m:t/1)",
        "end-without-claim: n ended claim 2 of t and never claimed it (n.jsonl:2)",
    ]
    assert said(loose_ends(facts(*claims, lines=lines))) == [f"broken {one}" for one in told]
    for name, levels in (("m", ["unproved", "broken"]), ("n", ["broken", "unproved"])):
        gaps = without_the_journal_of(name)
        found = loose_ends(facts(*claims, lines=lines, coverage=gaps))
        assert [one.level for one in found] == levels

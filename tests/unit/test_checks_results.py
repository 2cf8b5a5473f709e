"""Whether a result is one, whose it is, and whether it is the one that was asked for."""

from typing import Any

import pytest
from msgspec.structs import replace

from resonate_fleet.contract import journal as j
from resonate_fleet.report.checks import jobs as checks
from resonate_fleet.report.facts import AttemptFacts, JobFacts, StepFacts
from tests.support.facts import (
    Entry,
    attempt,
    entry,
    facts,
    job,
    member,
    planned,
    record,
    result,
    said,
    without_the_journal_of,
)

AT = "(client.jsonl:1 server.json#t m:t/1)"


def end(who: str, number: int, outcome: str = "resolved") -> Entry:
    line = j.Ended(job="t", task="t", attempt=number, function="f", outcome=outcome, seconds=1.0)
    return entry(replace(line, who=who), number)


def test_a_result_that_came_twice() -> None:
    ends = [end("m", 1), end("m", 2, "lost"), end("n", 3, "rejected")]
    assert said(checks.double_results(facts(lines=ends))) == [
        (
            "broken double-result: t was ended 2 times: by m at claim 1, by n at claim 3"
            " (m.jsonl:1 n.jsonl:3)"
        )
    ]


def dropped(*claims: AttemptFacts, **of_record: Any) -> list[str]:
    return said(checks.dropped_results(facts(*claims, jobs=[job(record=record(**of_record))])))


def test_a_result_that_the_server_never_took() -> None:
    assert dropped(attempt(), state="resolved") == []
    assert dropped(attempt(outcome="lost"), state="pending") == []
    pending = "m says that claim 1 of t ended resolved; the server has it pending at claim 1"
    assert dropped(attempt(), state="pending") == [
        f"broken dropped-result: {pending} (m:t/1-end server.json#t)"
    ]
    other = "m says that claim 1 of t ended rejected; the server has it resolved at claim 2"
    assert dropped(attempt(outcome="rejected", end_where=None), version=2) == [
        f"broken dropped-result: {other} (m:t/1 server.json#t)"
    ]


def test_each_dropped_result_is_named_whatever_came_before() -> None:
    """An unknown task, one that is none, and one that was lost say nothing."""
    child = record("child")
    run = facts(
        attempt("unknown"),
        attempt("child"),
        attempt("t", outcome="lost"),
        attempt("t", 2),
        children=[type(child)(promise=child.promise)],
        jobs=[job()],
    )
    assert [one.evidence[0] for one in checks.dropped_results(run)] == ["m:t/2-end"]


def contents(**of_job: Any) -> list[str]:
    found = list(checks.result_contents(facts(jobs=[job(**of_job)])))
    assert {one.name for one in found} <= {"result-disagrees"}
    return [one.says.removeprefix("job t ") for one in found]


def test_a_result_is_the_one_that_was_asked_for() -> None:
    brought = [attempt()]
    assert contents(result=result(), attempts=brought) == []
    assert contents(result=result("u"), attempts=brought) == ["has the result of u"]
    assert contents(result=result(number=2)) == ["has the result of claim 2, the server counts 1"]
    assert contents(result=result(cost=9.0)) == ["cost 9 s, asked for were 10 s"]
    assert contents(result=result(cost=10.0 + 1e-7)) == []
    assert contents(result=result(cost=11.0)) == ["cost 11 s, asked for were 10 s"]
    assert contents(result=result(cost=9.0), planned=None) == []
    assert contents(result=result("u"), record=None) == []
    untasked = type(record())(promise=record().promise)
    assert contents(result=result("u"), record=untasked) == []


def test_a_result_is_by_the_member_that_says_so() -> None:
    brought = [attempt()]
    says = "has a result by n, and m says it brought it"
    assert contents(result=result(by="n"), attempts=brought) == [says]
    assert contents(result=result(by="n"), attempts=[attempt(outcome="lost")]) == []
    late = [attempt(number=2), attempt(number=3, outcome="lost")]
    found = contents(result=result(by="n", number=2), attempts=late, record=record(version=2))
    assert found == [says], "the last that brought something"
    other = contents(result=result(by="n"), attempts=[attempt(number=2)])
    assert other == [], "it was another claim"


def test_the_member_and_the_server_say_how_a_job_ended() -> None:
    rejected = [attempt(outcome="rejected")]
    says = ["has no result that can be read", "is rejected by m, resolved by the server"]
    assert contents(attempts=rejected) == says
    assert contents(attempts=rejected, planned=None) == says[1:], "a function of somebody else's"
    assert contents(attempts=rejected, record=record(state="rejected")) == []
    assert contents(attempts=rejected, record=record(state="rejected_timedout")) == []
    assert contents(attempts=[attempt(outcome="lost")]) == says[:1]


def without(*members: Any, coverage: Any = None, settled: int = 20_000) -> list[str]:
    """Return what is said of a job with a result by n, which m alone claimed."""
    foreign = job(result=result(by="n"), attempts=[attempt()], record=record(settled_at=settled))
    more = {"coverage": coverage} if coverage else {}
    jobs = [job("none"), job("own", result=result("own"), attempts=[attempt("own")]), foreign]
    return said(checks.without_claim(facts(members=members, jobs=jobs, **more)))


def test_a_result_by_a_member_that_claimed_nothing() -> None:
    says = f"result-without-claim: job t has a result by n, which never claimed it {AT}"
    assert without(member("n")) == [f"broken {says}"]
    assert without() == [f"unproved {says}"], "it has no journal"
    assert without(member("n"), coverage=without_the_journal_of("n")) == [f"unproved {says}"]
    assert without(member("n"), coverage=without_the_journal_of("x")) == [f"broken {says}"]
    assert without(member("n", died=20.5)) == [f"unproved {says}"], "killed before its line"
    assert without(member("n", died=21.0)) == [f"broken {says}"]


def unrecorded(*claims: AttemptFacts, **of_job: Any) -> list[str]:
    more = {"coverage": of_job.pop("coverage")} if "coverage" in of_job else {}
    pending = job("pending", record=record("pending", state="pending"))
    jobs = [pending, job("own", attempts=[attempt("own")]), job(attempts=list(claims), **of_job)]
    return said(checks.unrecorded(facts(jobs=jobs, **more)))


def test_a_result_that_nobody_says_it_brought() -> None:
    says = f"unrecorded-result: job t has a result that no member says it brought {AT}"
    lost = attempt(outcome="lost")
    assert unrecorded(lost) == [f"broken {says}"]
    assert unrecorded(attempt(outcome="cut")) == [], "killed before its line"
    assert len(unrecorded(attempt(outcome="cut"), record=record(version=2))) == 1
    untasked = type(record())(promise=record().promise)
    assert unrecorded(lost, record=untasked) == []


def test_whose_journal_could_name_who_brought_it() -> None:
    """That of the last claim's member, of the result's, or anybody's."""
    lost, by_n = attempt(outcome="lost"), {"result": result(by="n"), "record": record(version=2)}
    gaps = {name: without_the_journal_of(name) for name in "mn"}
    levels = [
        unrecorded(lost, coverage=gaps["m"]),
        unrecorded(lost, coverage=gaps["n"]),
        unrecorded(lost, coverage=gaps["n"], **by_n),
        unrecorded(lost, coverage=gaps["m"], **by_n),
        unrecorded(lost, coverage=gaps["n"], record=record(version=2)),
    ]
    assert [one[0].split()[0] for one in levels] == [
        "unproved",
        "broken",
        "unproved",
        "broken",
        "unproved",
    ]


def test_a_step_that_was_stored_and_ran_again() -> None:
    def step(name: str, number: int, ended: float | None) -> StepFacts:
        return StepFacts(promise=name, began=1.0, ended=ended, where=f"m:{number}")

    first = attempt(steps=[step("t:1", 1, 2.0), step("t:2", 2, None)])
    second = attempt(number=2, steps=[step("t:1", 3, 4.0), step("t:2", 4, 5.0)])
    other = job("u", attempts=[attempt("u", steps=[step("t:2", 5, 6.0)])])
    jobs = [job(attempts=[first, second]), other]
    assert said(checks.steps_twice(facts(jobs=jobs))) == [
        "broken step-checkpointed-twice: step t:1 had been stored and ran again (m:1 m:3)"
    ]


def skipped(*claims: AttemptFacts, **of_job: Any) -> list[str]:
    jobs = [job("pending", record=record("pending", state="pending"))]
    given: dict[str, Any] = {"record": record(settled_at=100_000), "planned": planned(cost=11.0)}
    jobs.append(job(attempts=list(claims), **(given | of_job)))
    return said(checks.skipped_work(facts(jobs=jobs)))


def test_work_that_took_less_than_it_costs() -> None:
    says = f"broken work-skipped: job t costs 11 s, took 10.39 s {AT}"
    assert skipped(attempt(seconds=10.41)) == []
    assert skipped(attempt(seconds=10.39)) == [says]
    assert skipped(attempt(seconds=10.39), planned=None) == []


@pytest.mark.parametrize(
    ("settled", "outcome", "found"),
    [
        (19_500, "resolved", 0),
        (19_300, "resolved", 1),
        (19_300, "lost", 1),  # by the server's clock alone, with a second for the two clocks
        (None, "lost", 0),
    ],
)
def test_work_that_took_less_by_the_servers_clock(
    settled: int | None, outcome: str, found: int
) -> None:
    seconds = 11.0 if outcome == "resolved" else 1.0
    claim = attempt(seconds=seconds, outcome=outcome)
    assert len(skipped(claim, record=record(settled_at=settled))) == found


def test_only_a_first_and_only_claim_is_measured() -> None:
    quick = attempt(seconds=1.0)
    assert len(skipped(quick)) == 1
    assert skipped(quick, attempt(number=2, seconds=1.0)) == []
    assert skipped(attempt(number=2, seconds=1.0)) == []
    assert skipped(quick, record=record(state="rejected", settled_at=100_000)) == []
    assert skipped() == []


def test_the_time_of_one_job_says_nothing_of_the_next() -> None:
    jobs: list[JobFacts] = [job("a"), job("b", attempts=[attempt("b", seconds=1.0)])]
    assert [one.name for one in checks.skipped_work(facts(jobs=jobs))] == ["work-skipped"]

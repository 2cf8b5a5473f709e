"""What is said of jobs: their ends, who knows of them, and whose results they have."""

from typing import Any

import pytest

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.run import Guarantees
from resonate_fleet.report.checks import jobs as checks
from resonate_fleet.report.checks.jobs import about_job
from resonate_fleet.report.facts import JobFacts
from tests.support.facts import (
    Entry,
    attempt,
    confirmed,
    entry,
    facts,
    job,
    plan,
    record,
    said,
    without_the_journal_of,
)

#: Where client, server and claims speak of the usual job.
AT = "(client.jsonl:1 server.json#t)"


def pending(task: str = "t", **more: Any) -> JobFacts:
    return job(task, record=record(task, state="pending", **more))


def test_evidence_is_two_confirmations_the_record_and_the_last_three_claims() -> None:
    many = job(
        confirmed=[confirmed(number=number) for number in (1, 2, 3)],
        attempts=[attempt(number=number) for number in (1, 2, 3, 4)],
    )
    assert said([about_job("late-job", many, "is late")]) == [
        (
            "broken late-job: job t is late"
            " (client.jsonl:1 client.jsonl:2 server.json#t m:t/2 m:t/3 m:t/4)"
        )
    ]
    unknown = job(record=None, confirmed=[])
    assert said([about_job("late-job", unknown, "is", incomplete=True)]) == [
        "unproved late-job: job t is ()"
    ]


def test_lost_jobs() -> None:
    lost = [pending(), job("u", record=None, confirmed=[confirmed("u")]), job("done")]
    assert said(checks.unended(facts(jobs=lost, records_at=100.0))) == [
        f"broken lost-job: job t was confirmed and has no result {AT}",
        "broken missing-promise: job u was confirmed, the server does not know it (client.jsonl:1)",
    ]


def test_late_jobs() -> None:
    late = job(record=record(settled_at=50_000))
    run = facts(jobs=[late], records_at=100.0, plan=plan(deadline=40.0))
    assert said(checks.unended(run)) == [
        f"broken late-job: job t had not ended at the deadline {AT}"
    ]


def ended(state: str, *errors: str, id: str = "t") -> JobFacts:
    claims = [attempt(id, number, error=error) for number, error in enumerate(errors, start=1)]
    return job(id, record=record(id, state=state), attempts=claims)


def bad(*jobs: JobFacts, lines: tuple[Entry, ...] = ()) -> list[str]:
    return [one.says for one in checks.bad_ends(facts(jobs=jobs, lines=lines))]


def test_jobs_that_end_without_a_result() -> None:
    assert bad(ended("resolved"), ended("pending")) == []
    assert bad(ended("rejected", "first", "last", "")) == ["job t ended with an error: last"]
    assert bad(ended("rejected_canceled")) == ["job t ended with an error"]
    assert said(checks.bad_ends(facts(jobs=[ended("rejected")]))) == [
        f"broken rejected-job: job t ended with an error {AT}"
    ]
    assert said(checks.bad_ends(facts(jobs=[ended("rejected_timedout")]))) == [
        f"broken timed-out-job: job t ran out of time: its promise timed out {AT}"
    ]


def test_a_job_that_was_rejected_by_hand_is_nobodys_fault() -> None:
    by_hand = entry(j.Acted(act="reject", jobs=["t"], by="me", who="s"))
    jobs = ended("rejected"), ended("rejected", id="u")
    assert bad(*jobs, lines=(by_hand,)) == ["job u ended with an error"]


def test_parked_jobs() -> None:
    def line(task: str) -> Entry:
        return entry(j.Parked(job=task, task=task, crashes=4, members=[], who="s"))

    jobs = [pending("a", stands="halted"), pending("b", stands="halted"), job("done")]
    seen: Any = {"jobs": jobs, "lines": [line("b"), line("foreign")]}
    told = [
        "broken parked-unexpectedly: job a was parked (server.json#a)",
        "broken parked-unexpectedly: job b was parked (s.jsonl:1 server.json#b)",
        "broken parked-unexpectedly: job foreign was parked (s.jsonl:1)",
    ]
    for allowed, found in ((0, told), (2, told), (3, [])):
        promised = plan(guarantees=Guarantees(parked=allowed))
        assert said(checks.parked_jobs(facts(**seen, plan=promised))) == found
    assert said(checks.parked_jobs(facts(**seen))) == told
    assert said(checks.parked_jobs(facts(jobs=jobs[:1]))) == told[:1]


def client_ended(confirmed: int, who: str = "client") -> Entry:
    return entry(j.ClientEnded(confirmed=confirmed, unconfirmed=0, who=who))


@pytest.mark.parametrize(("clients", "level"), [(False, "broken"), (True, "unproved")])
def test_jobs_and_counts_that_the_client_forgot(level: str, *, clients: bool) -> None:
    gaps = without_the_journal_of(clients=clients)
    forgotten = job("f", confirmed=[])
    unplanned = job("u", confirmed=[], planned=None)
    unsent = job("x", confirmed=[], record=None)
    jobs = [unplanned, unsent, forgotten, job()]
    lines = [client_ended(1), client_ended(2, "other")]
    assert said(checks.client_counts(facts(jobs=jobs, lines=lines, coverage=gaps))) == [
        (
            f"{level} forgotten-by-client: job f is on the server, its client never confirmed it"
            " (server.json#f)"
        ),
        (
            f"{level} forgotten-by-client: other says it confirmed 2 jobs and wrote down 0"
            " (other.jsonl:1)"
        ),
    ]


def test_counts_that_agree_or_were_never_said() -> None:
    assert said(checks.client_counts(facts(jobs=[job()], lines=[client_ended(1)]))) == []
    assert said(checks.client_counts(facts(jobs=[job()]))) == []


def test_jobs_that_were_planned_and_not_sent_and_the_other_way_round() -> None:
    jobs = [
        job("unsent", confirmed=[], record=None),
        job("known", confirmed=[]),
        job("claimed", record=None),
        job("both"),
        job("foreign", planned=None),
        job("said", planned=None, record=None),
        job("parent:1", planned=None),
        job("nobody", planned=None, record=None, confirmed=[]),
    ]
    assert said(checks.unplanned_jobs(facts(jobs=jobs, plan=plan()))) == [
        "unproved unsent-job: job unsent was planned and never sent (plan.json)",
        "unproved unplanned-job: job foreign is in no plan (client.jsonl:1 server.json#foreign)",
        "unproved unplanned-job: job said is in no plan (client.jsonl:1)",
    ]
    assert said(checks.unplanned_jobs(facts(jobs=jobs))) == []

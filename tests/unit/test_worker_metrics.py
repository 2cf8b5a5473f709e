"""The member's instruments."""

import pytest

from resonate_fleet.member.attempts import Attempt, Callee
from resonate_fleet.member.metrics import INSTRUMENTS, Metrics

OPEN = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics({"f", "g"}, 4, "1.2.3")


def attempt(version: int = 1, *, function: str = "f", job: str = "j", waits: int = -1) -> Attempt:
    callee = Callee(function, function, suspends=waits >= 0)
    return Attempt(job, version, callee, durable_waits=max(waits, 0))


def lines(metrics: Metrics, accept: str = OPEN) -> list[str]:
    return metrics.page(accept).body.decode().splitlines()


def test_every_instrument_has_a_name_of_ours_a_unit_or_none_and_help() -> None:
    names = [one.name for one in INSTRUMENTS]
    assert len(set(names)) == len(names)
    assert all(name.startswith("fleet_worker_") for name in names)
    assert not [one.name for one in INSTRUMENTS if one.name.endswith("_total")]
    assert all(one.help.endswith(".") for one in INSTRUMENTS)
    assert not {"job", "id", "member", "pod"} & {
        label for one in INSTRUMENTS for label in one.labels
    }


def test_ten_thousand_jobs_and_strangers_add_no_series(metrics: Metrics) -> None:
    def live(one: Attempt) -> None:
        metrics.claimed(one, 0.1)
        metrics.ended(one, "resolved", 0.5)

    live(attempt())
    live(attempt(function="stranger"))
    before = len(lines(metrics))
    for number in range(10_000):
        live(attempt(job=f"j{number}", function=f"stranger-{number}" if number % 2 else "f"))
    assert len(lines(metrics)) == before


def test_exemplars_name_the_job_where_there_is_room(metrics: Metrics) -> None:
    metrics.ended(attempt(job="short"), "resolved", 0.5)
    assert any('job="short"' in line for line in lines(metrics))
    assert not any('job="short"' in line for line in lines(metrics, "text/plain"))
    metrics.ended(attempt(job="long" * 40), "resolved", 5)
    assert not any("longlong" in line for line in lines(metrics))


@pytest.mark.parametrize(
    ("version", "waits", "reclaims"),
    [(1, -1, 0), (2, -1, 1), (1, 0, 0), (2, 1, 0), (2, 0, 1), (4, 2, 1)],
)
def test_reclaims_are_claims_that_no_resume_explains(
    metrics: Metrics, version: int, waits: int, reclaims: int
) -> None:
    one = attempt(version, waits=waits)
    metrics.claimed(one, 0.1)
    metrics.ended(one, "resolved", 0.5)
    series = 'fleet_worker_reclaims_total{function="f"} '
    counted = [float(one.split()[1]) for one in lines(metrics) if one.startswith(series)]
    assert sum(counted) == reclaims


def test_only_first_claims_have_waited_in_the_queue(metrics: Metrics) -> None:
    for version in (1, 2, 3):
        metrics.claimed(attempt(version), 0.1)
    assert 'fleet_worker_queue_wait_seconds_count{function="f"} 1.0' in lines(metrics)
    assert 'fleet_worker_attempts_started_total{function="f"} 3.0' in lines(metrics)

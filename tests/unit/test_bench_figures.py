"""What a bench run says: figures, goals, fairness, and what its store lacks."""

import sys

import pytest

from resonate_fleet.bench.figures import BenchFigures, BenchReport, markdown
from resonate_fleet.bench.jobs import unfairness
from resonate_fleet.bench.store import parser, run
from resonate_fleet.contract.settings import Mistake


def report() -> BenchReport:
    return BenchReport(
        command="fleet bench all",
        server="embedded server",
        machine="x, 2 cores",
        versions={"python": "3.13"},
        at="2026-01-01",
        took=12.3,
        load=0.1,
        load_after=1.9,
    )


def test_first_come_first_served_is_fair() -> None:
    assert unfairness([(0.0, 0.0), (0.0, 5.0), (0.0, 9.0)]) <= 1


def test_jobs_of_one_moment_have_their_turn_as_they_were_submitted() -> None:
    assert unfairness((0.0, float(n)) for n in range(12)) <= 1


def test_a_job_that_was_passed_over_is_seen() -> None:
    assert unfairness([(0.0, 10.0), (0.0, 1.0), (0.0, 2.0)]) == pytest.approx(10 / 1.2)


def test_a_job_that_came_late_is_not_held_to_an_earlier_turn() -> None:
    assert unfairness([(0.0, 0.1), (9.0, 9.1)]) <= 1


def test_the_table_in_markdown_has_spread_goal_load_and_versions() -> None:
    found = report()
    values = [float(n) for n in range(1, 101)]
    BenchFigures(found, "latency", 0.5).add("idle to start", values, "ms", "p50 <= 60, worst <= 99")
    page = markdown(found)
    assert "python 3.13" in page
    assert "load 0.1 before and 1.9 after" in page
    row = page.splitlines()[-1]
    assert row == (
        "| latency: idle to start, ms | ours | 50.5 (1 to 100) | 99 | 100 | 0.5 "
        "| p50 <= 60, worst <= 99 | missed |"
    )


@pytest.mark.parametrize(
    ("worker", "goals", "verdict"),
    [
        ("ours", "least >= 1.4", "missed"),
        ("ours", "median >= 1.4", "met"),
        ("ours", "median >= 1.4, worst <= 1.4", "missed"),
        ("ours", "", ""),
        ("plain", "least >= 1.4", ""),
    ],
)
def test_a_goal_is_met_by_every_value_that_it_names(worker: str, goals: str, verdict: str) -> None:
    found = report()
    BenchFigures(found, "m", 0).add("w", [1.5, 1.3], "", goals, worker)
    assert found.figures[0].verdict == verdict


def test_a_database_without_the_extra_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    asked = parser("store").parse_args(["postgres://nowhere/x", "--server-bin", sys.executable])
    with pytest.raises(Mistake, match="needs the extra `postgres`"):
        run(asked)

"""What a bench run says: figures, goals and fairness."""

import msgspec
import pytest

from resonate_fleet.bench.figures import BenchReport, Figure, at_least, at_most, markdown
from resonate_fleet.bench.jobs import Done, unfairness


def done(*times: tuple[float, float]) -> list[Done]:
    """Jobs by when they were created and began."""
    return [Done(f"job-{n}", created, began, began, 1) for n, (created, began) in enumerate(times)]


def test_first_come_first_served_is_fair() -> None:
    assert unfairness(done((0.0, 0.0), (0.0, 5.0), (0.0, 9.0))) <= 1


def test_jobs_of_one_moment_have_their_turn_as_they_were_submitted() -> None:
    jobs = done(*((0.0, float(n)) for n in range(12)))
    assert jobs[-1].id < jobs[2].id  # as texts: job-11 and job-2
    assert unfairness(jobs) <= 1


def test_a_job_that_was_passed_over_is_seen() -> None:
    assert unfairness(done((0.0, 10.0), (0.0, 1.0), (0.0, 2.0))) == pytest.approx(10 / 1.2)


def test_a_job_that_came_late_is_not_held_to_an_earlier_turn() -> None:
    assert unfairness(done((0.0, 0.1), (9.0, 9.1))) <= 1


def test_the_table_in_markdown_has_spread_goal_load_and_versions() -> None:
    values = [float(n) for n in range(1, 101)]
    figure = Figure(
        measure="latency",
        what="idle to start",
        worker="ours",
        unit="ms",
        values=values,
        load=0.5,
        goals=at_most(p50=60, worst=99),
    )
    report = BenchReport(
        command="fleet bench all",
        server="embedded server",
        machine="x, 2 cores",
        versions={"python": "3.13"},
        at="2026-01-01",
        took=12.3,
        load=0.1,
        load_after=1.9,
        figures=[figure],
    )
    page = markdown(report)
    assert "python 3.13" in page
    assert "load 0.1 before and 1.9 after" in page
    row = page.splitlines()[-1]
    assert row == (
        "| latency: idle to start, ms | ours | 50.5 (1 to 100) | 100 | 100 | 0.5 "
        "| p50 <= 60, worst <= 99 | missed |"
    )


def test_a_goal_is_met_by_every_value_that_it_names() -> None:
    ratios = Figure(measure="m", what="w", values=[1.5, 1.3], goals=at_least(least=1.4))
    assert ratios.verdict == "missed"
    met = msgspec.structs.replace(ratios, goals=at_least(median=1.4))
    assert met.verdict == "met"
    assert msgspec.structs.replace(ratios, goals=()).verdict == ""

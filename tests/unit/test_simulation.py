"""The product's own matcher in virtual time: at the bound, without crowding, fair."""

import statistics
from collections.abc import Callable, Sequence

import pytest

from resonate_fleet.bench.jobs import heavy_tailed, uniform
from resonate_fleet.bench.simulation import Case, Outcome, simulate


def outcomes(
    members: int, cost: Callable[[int, int], Sequence[float]], count: int
) -> list[Outcome]:
    return [
        simulate(Case(members, 1, cost(seed, count), rate=1000, begins=2)) for seed in range(20)
    ]


def test_three_members_work_at_the_bound() -> None:
    found = outcomes(3, uniform, 24)
    assert statistics.median(one.ratio for one in found) <= 1.006
    assert max(one.ratio for one in found) <= 1.008
    assert max(one.unfair for one in found) <= 1.0


def test_ten_members_with_heavy_tails_work_at_the_bound() -> None:
    found = outcomes(10, heavy_tailed, 200)
    assert statistics.median(one.ratio for one in found) <= 1.009
    assert max(one.ratio for one in found) <= 1.016
    assert max(one.unfair for one in found) <= 1.0


@pytest.mark.parametrize("finished", [0, 1_000_000])
def test_four_hundred_slots_leave_the_server_two_thirds_of_its_time(finished: int) -> None:
    costs = uniform(0, 3000, 0.5, 1.5)
    found = simulate(Case(100, 4, costs, rate=300, finished=finished))
    assert found.server_busy <= 0.35
    assert found.requests_a_job <= 3.05
    assert found.refused <= 0.005
    assert found.start_p50 <= 0.015


def test_no_ops_are_bound_by_the_server_alone() -> None:
    found = simulate(Case(10, 16, [0.0] * 5000))
    assert found.makespan <= 3.8
    assert found.refused <= 0.005

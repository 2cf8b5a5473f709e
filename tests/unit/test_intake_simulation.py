"""The intake among others, in virtual time: at the bound, without crowding, fair."""

import statistics

import pytest

from resonate_fleet.bench import loads
from resonate_fleet.bench.model import Tuning
from resonate_fleet.bench.simulation import Case, Run


def test_three_members_work_at_the_bound() -> None:
    outcomes = [
        Run(Case(3, 1, loads.uniform(seed, 24), rate=1000, begins=2, seed=seed)).outcome()
        for seed in range(20)
    ]
    assert statistics.median(one.ratio for one in outcomes) <= 1.008
    assert max(one.ratio for one in outcomes) <= 1.01
    assert max(one.unfair for one in outcomes) <= 1.1


def test_ten_members_with_heavy_tails_work_near_the_bound() -> None:
    outcomes = [
        Run(Case(10, 1, loads.heavy_tailed(seed, 200), rate=1000, begins=2, seed=seed)).outcome()
        for seed in range(20)
    ]
    assert statistics.median(one.ratio for one in outcomes) <= 1.012
    assert max(one.ratio for one in outcomes) <= 1.02
    assert max(one.unfair for one in outcomes) <= 1.1


@pytest.mark.parametrize("seed", range(2))
def test_claims_of_a_backlog_are_hardly_ever_refused(seed: int) -> None:
    outcome = Run(Case(3, 16, [0.0] * 10_000, seed=seed)).outcome()
    assert outcome.refused <= 0.03
    assert outcome.unfair <= 2


def test_members_that_keep_up_do_not_get_in_each_others_way() -> None:
    outcome = Run(Case(2, 16, [0.0] * 1000, rate=300)).outcome()
    assert outcome.refused <= 0.02


@pytest.mark.parametrize(
    "case",
    [
        Case(3, 1, loads.uniform(1, 100), rate=5),
        Case(10, 1, loads.heavy_tailed(1, 300)),
        Case(10, 4, [0.01] * 2000),
        Case(3, 16, [0.0] * 3000, rate=1200),
    ],
)
def test_nobody_waits_twice_as_long_as_first_come_first_served(case: Case) -> None:
    assert Run(case).outcome().unfair <= 2


def test_a_new_member_starts_at_once_on_what_waits() -> None:
    run = Run(Case(1, 1, [0.2] * 30))
    run.outcome()
    assert min(run.began) <= 0.2


def test_a_flood_of_another_group_does_not_delay_ours() -> None:
    def wait(strangers: int) -> float:
        run = Run(Case(2, 1, [0.05] * 60, rate=10, strangers=strangers))
        run.outcome()
        pairs = zip(run.began, run.created, strict=True)
        return statistics.median(began - created for began, created in pairs)

    assert wait(5000) <= wait(0) + 0.03


@pytest.mark.parametrize("members", [3, 10])
def test_with_a_steward_nobody_stays_idle_while_others_hear_of_more_than_they_can_do(
    members: int,
) -> None:
    """As many jobs at once as there are idle members: hints go to some twice, to others never."""

    def ratios(*, steward: bool) -> list[float]:
        costs = [loads.uniform(seed, members) for seed in range(20)]
        cases = [
            Case(members, 1, some, rate=1000, begins=2, seed=seed, steward=steward)
            for seed, some in enumerate(costs)
        ]
        return [Run(case).outcome().ratio for case in cases]

    alone, together = ratios(steward=False), ratios(steward=True)
    assert max(together) <= 1.1
    assert statistics.median(together) <= 1.03
    assert statistics.median(alone) > 1.1, "else the steward would be of no use here"


@pytest.mark.parametrize(("members", "rate"), [(20, 60), (100, 100), (100, 200)])
def test_members_with_slots_to_spare_leave_the_server_alone(members: int, rate: int) -> None:
    """A job needs three requests; jobs on their way to others are no reason to look."""
    costs = loads.uniform(1, 3000, 0.5, 1.5)
    outcome = Run(Case(members, 4, costs, rate=rate, steward=True)).outcome()
    assert outcome.requests_a_job <= 6.5
    assert outcome.refused <= 0.15
    assert outcome.unfair <= 1


def test_without_the_right_to_search_every_job_is_still_done() -> None:
    case = Case(3, 1, [0.05] * 100, rate=100, search=False, tuning=Tuning(retry_timeout=1.0))
    assert Run(case).outcome().jobs == 100


def test_members_beyond_the_servers_connections_work_by_looking() -> None:
    outcome = Run(Case(12, 1, [0.5] * 120, tuning=Tuning(connections=4))).outcome()
    assert outcome.ratio <= 1.1

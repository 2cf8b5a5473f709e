"""The figures, worked out by hand on small runs."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from resonate_fleet.contract import journal as j
from resonate_fleet.report.assembly import facts_of
from resonate_fleet.report.bound import greedy
from resonate_fleet.report.evidence import read_evidence
from resonate_fleet.report.facts import Facts
from resonate_fleet.report.figures import figures_of, spread
from resonate_fleet.report.recoveries import predicted, strike_figures
from tests.support import facts as hand
from tests.support.runs import Blow, play

FOREVER = (0.0, math.inf)


def facts(root: Path, blows: list[Blow] | None = None, **more: object) -> Facts:
    return facts_of(read_evidence(play(blows, **more).write(root)))


# The bound.


def test_one_slot_does_one_job_after_the_other() -> None:
    assert greedy([(0, 1.0), (0, 2.0), (0, 3.0)], [FOREVER]) == 6.0


def test_two_slots_share() -> None:
    assert greedy([(0, 1.0), (0, 2.0), (0, 3.0)], [FOREVER, FOREVER]) == 4.0


def test_a_slot_waits_for_the_next_arrival() -> None:
    assert greedy([(0, 1.0), (5, 1.0)], [FOREVER]) == 6.0


def test_a_job_cut_off_starts_anew_elsewhere_at_once() -> None:
    """At 2 the first slot is gone; the other is free at 1 and has nothing to do until then."""
    assert greedy([(0, 3.0), (0, 1.0)], [(0.0, 2.0), FOREVER]) == 5.0


def test_no_slots_no_bound() -> None:
    assert greedy([(0, 3.0)], [(0.0, 2.0)]) is None


def test_no_job_begins_before_it_came_whatever_slots_were_there_before() -> None:
    assert greedy([(10, 1.0)], [(0.0, 5.0), FOREVER]) == 11.0
    assert greedy([(10, 1.0), (10, 2.0)], [FOREVER, FOREVER]) == 12.0
    assert greedy([(10, 4.0), (10, 2.0)], [FOREVER, FOREVER]) == 14.0


@given(
    costs=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    slots=st.integers(1, 6),
)
def test_the_bound_keeps_to_grahams(costs: list[int], slots: int) -> None:
    """List scheduling never needs more than (2 - 1/m) times the best, and never less than it."""
    least = max(sum(costs) / slots, *costs)
    end = greedy([(0, cost) for cost in costs], [FOREVER] * slots)
    assert end is not None
    assert least <= end <= sum(costs) / slots + max(costs) * (1 - 1 / slots)


# Whole runs.


def test_a_quiet_run(tmp_path: Path) -> None:
    figures = figures_of(facts(tmp_path, jobs=12, members=2))
    assert figures.jobs_done == figures.jobs_confirmed == figures.claims == 12
    assert figures.redone_attempts == figures.strikes == figures.hand_overs == 0
    assert figures.makespan_over_bound == pytest.approx(1.0, abs=0.05)
    assert sum(share.share for share in figures.shares) == pytest.approx(1.0, abs=0.001)
    assert sum(share.results for share in figures.shares) == 12
    assert figures.wasted_share is not None
    assert figures.wasted_share < 0.02


def test_a_kill_in_the_middle_of_a_plain_job_wastes_what_was_done(tmp_path: Path) -> None:
    found = facts(tmp_path, [Blow("kill", 4, 0.5)], jobs=12)
    figures = figures_of(found)
    job = found.evidence.plan.jobs[3] if found.evidence.plan else None
    assert job is not None
    assert figures.redone_jobs == figures.redone_attempts == 1
    assert figures.redone_steps == 0
    assert figures.redone_seconds == pytest.approx(job.cost / 2, abs=0.01)


def test_stored_steps_are_not_wasted(tmp_path: Path) -> None:
    """Two thirds were stored when the member died in the last third."""
    found = facts(tmp_path, [Blow("kill", 6, 0.9)], jobs=12)
    figures = figures_of(found)
    job = found.evidence.plan.jobs[5] if found.evidence.plan else None
    assert job is not None
    assert job.steps == 3
    assert figures.redone_steps == 1
    assert figures.redone_seconds == pytest.approx(job.cost * (0.9 - 2 / 3), abs=0.03)


def test_a_drain_redoes_nothing(tmp_path: Path) -> None:
    figures = figures_of(facts(tmp_path, [Blow("terminate", 4)], jobs=12))
    assert figures.redone_attempts == 0
    assert [one.seconds for one in figures.strike_figures] == [None]


def test_recovery_by_hand_over_beside_its_prediction(tmp_path: Path) -> None:
    [one] = figures_of(facts(tmp_path, [Blow("kill", 4)], jobs=12)).strike_figures
    assert one.way == "handed-over"
    assert one.seconds is not None
    assert one.predicted_low is not None
    assert one.predicted_low <= one.seconds
    assert one.against == "as predicted"


def test_a_recovery_that_came_sooner_or_later_than_predicted_is_not_called_as_predicted(
    tmp_path: Path,
) -> None:
    found = facts(tmp_path, [Blow("kill", 4)], jobs=12)
    [one] = found.recoveries
    assert one.follower is not None
    low, high = one.low, one.high
    said = [
        strike_figures(found, [replace(one, follower=replace(one.follower, began=one.at + after))])
        for after in (low / 2, (low + high) / 2, high + 1)
    ]
    assert [figures[0].against for figures in said] == ["sooner", "as predicted", "later"]


def test_recovery_without_a_steward_waits_for_the_lease(tmp_path: Path) -> None:
    found = facts(tmp_path, [Blow("kill", 4)], jobs=12, steward=False, lease=6.0)
    [one] = found.recoveries
    assert one.way == "lapsed"
    assert one.seconds is not None
    assert 4.0 <= one.seconds <= one.high
    assert list(predicted(found.evidence.plan, "lapsed")) == pytest.approx([3.0, 6.7])


@pytest.mark.parametrize(
    ("until", "waits"),
    [
        (12.0, 3.0),  # the other member's slot is given back
        (40.0, 10.0),  # the other is full, a third is thawed
        (9.0, 0.0),  # a slot is free
    ],
)
def test_a_prediction_has_the_wait_for_the_first_free_slot_in_it(
    until: float, waits: float
) -> None:
    cut = hand.attempt(member="dead", began=5.0, until=8.9, outcome="cut")
    busy = hand.attempt("u", member="busy", began=5.0, until=until)
    members = [
        hand.member("dead", stopped=None, died=8.9, attempts=[cut]),
        hand.member("busy", attempts=[busy]),
        hand.member("frozen", frozen=[(5.0, 19.0)]),
        hand.member("gone", stopped=3.0),
    ]
    handed = j.HandedOver(job="t", task="t", attempt=1, member="dead", seconds=0.1, at=9.0)
    found = hand.facts(cut, busy, members=members, plan=hand.plan(), lines=[hand.entry(handed)])
    [one] = found.recoveries
    assert one.high - predicted(found.evidence.plan, "handed-over")[1] == pytest.approx(waits)


def test_a_long_pause_costs_its_job_and_a_short_one_does_not(tmp_path: Path) -> None:
    short = figures_of(facts(tmp_path / "a", [Blow("pause", 4, seconds=1)], jobs=12, lease=3.0))
    long = figures_of(facts(tmp_path / "b", [Blow("pause", 4, seconds=5)], jobs=12, lease=3.0))
    assert (short.redone_jobs, short.lapses) == (0, 0)
    assert (long.redone_jobs, long.lapses) == (1, 1)


def test_idle_slots_are_counted_while_work_waits(tmp_path: Path) -> None:
    """One of two members takes nothing after its first job: its slot idles while work waits."""
    run = play(jobs=20, members=2)
    lazy = next(who for who in run.journals if who.startswith("worker-2"))
    folder = run.write(tmp_path)
    whole = figures_of(facts_of(read_evidence(folder))).idle_seconds
    path = folder.journal / f"{lazy}.jsonl"
    kept = [x for x in path.read_text().splitlines() if '"job.' not in x and '"step.' not in x]
    path.write_text("\n".join(kept) + "\n")
    assert whole < 0.5
    assert figures_of(facts_of(read_evidence(folder))).idle_seconds > 3


def test_the_clients_clock_makes_no_run_shorter(tmp_path: Path) -> None:
    run = play(jobs=12)
    right = figures_of(facts_of(read_evidence(run.write(tmp_path / "right")))).makespan
    run.journals["client"] = [replace(one, at=one.at + 5) for one in run.journals["client"]]
    assert figures_of(facts_of(read_evidence(run.write(tmp_path / "wrong")))).makespan == right


def test_quantiles_by_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    found = spread(values)
    assert (found.p50, found.p95, found.p99, found.max) == (50.0, 95.0, 99.0, 100.0)
    assert spread([]).p50 is None
    assert spread([7.0]).p99 == 7.0

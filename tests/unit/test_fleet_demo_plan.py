"""What the demo is going to do follows from its options alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonate_fleet.commands.demo_story import DemoOptions, plan, wrong


@given(st.integers(2, 20), st.integers(3, 100), st.integers(0, 2**31), st.data())
def test_the_same_options_make_the_same_plan(
    workers: int, jobs: int, seed: int, data: st.DataObject
) -> None:
    kill = data.draw(st.integers(0, min(workers - 1, jobs // 3)))
    options = DemoOptions(workers=workers, jobs=jobs, seed=seed, kill=kill)
    assert wrong(options) is None
    made = plan(options, "")
    assert made == plan(options, "")
    assert (made.plan.members, len(made.plan.jobs), len(made.plan.strikes)) == (workers, jobs, kill)
    assert all(0.5 <= job.cost <= 3.5 for job in made.plan.jobs)
    assert all(0 < (order.when.done or 0) < 1 for order in made.orders)


def test_the_scale_stretches_every_job() -> None:
    one, three = (plan(replace(DemoOptions(), scale=scale), "").plan for scale in (1.0, 3.0))
    for short, long in zip(one.jobs, three.jobs, strict=True):
        assert long.cost == pytest.approx(3 * short.cost, abs=0.01)


def test_on_a_given_server_group_and_ids_are_its_own() -> None:
    made = plan(DemoOptions(server="http://localhost:8001"), "-abc")
    assert {job.group for job in made.plan.jobs} == {"demo-abc"}
    assert made.plan.jobs[0].id == "fleet-demo-7-abc-00001"
    assert made.client[-1] == "--group=demo-abc"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (DemoOptions(workers=1, kill=1), "accepted: 0 to 0"),
        (DemoOptions(workers=3, kill=3), "accepted: 0 to 2"),
        (DemoOptions(jobs=5, kill=2), "accepted: 0 to 1 with 5 jobs"),
    ],
)
def test_kills_that_leave_nobody_or_nothing_are_refused(options: DemoOptions, words: str) -> None:
    assert words in (wrong(options) or "")

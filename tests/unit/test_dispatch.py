"""In which order a steward takes what the server tells it: real stewards, in virtual time."""

from contextlib import closing

import pytest

from tests.support.simulated import Fleet
from tests.support.simulated_processes import PORTS

pytestmark = pytest.mark.usefixtures("no_logs")


def test_hints_of_one_tick_count_as_heard_at_once() -> None:
    """The server sends job-10 before job-2; both became claimable in the same 5 ms."""
    with closing(Fleet()) as fleet:
        fleet.add_steward(PORTS[0])
        fleet.add_member()
        fleet.pass_time(10)
        jobs = [fleet.submit(0.1) for _ in range(12)]
        begun: list[str] = []
        for _ in range(200):
            fleet.pass_time(0.02)
            states = {job: fleet.server.model.task(job)["state"] for job in jobs}
            begun += [job for job in jobs if states[job] != "pending" and job not in begun]
        assert begun == jobs


def test_who_died_in_its_drain_is_handed_over_when_another_member_comes() -> None:
    """A survey meanwhile forgets the group in which nobody is; the death does not hang on it."""
    with closing(Fleet()) as fleet:
        steward, first = fleet.add_steward(PORTS[0]), fleet.add_member()
        fleet.pass_time(3)
        job = fleet.submit(60)
        fleet.pass_time(0.5)
        assert fleet.holder(job) is first
        runner = first._runner  # noqa: SLF001 - the first step of a drain
        runner.on_loop.wait(runner.intake.close, 1.0)
        fleet.pass_time(0.1)
        fleet.kill_member(first)
        steward._dispatch.survey_loop.want_survey()  # noqa: SLF001 - another one would be due in 10 s
        fleet.pass_time(1)
        assert not steward._dispatch.groups  # noqa: SLF001 - the group has gone
        second = fleet.add_member()
        fleet.pass_time(1)
        assert fleet.holder(job) is second


def test_tasks_that_were_not_kept_are_found_when_half_of_the_others_have_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resonate_fleet.steward.groups.MOST_TASKS", 4)
    with closing(Fleet()) as fleet:
        steward, _ = fleet.add_steward(PORTS[0]), fleet.add_member()
        fleet.pass_time(10)
        jobs = [fleet.submit(0.1) for _ in range(8)]
        fleet.pass_time(0.05)
        [group] = steward._dispatch.groups.values()  # noqa: SLF001 - what it keeps
        assert len(group.matcher) == 3, "it has kept four, and one of them runs"
        fleet.pass_time(2)
        assert {fleet.server.model.task(job)["state"] for job in jobs} == {"fulfilled"}

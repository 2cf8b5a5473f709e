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


def test_what_waited_before_the_steward_came_goes_by_its_creation_whatever_the_ids_are() -> None:
    with closing(Fleet()) as fleet:
        first = fleet.submit(1.0, id="z")
        fleet.pass_time(1)
        second = fleet.submit(1.0, id="a")
        fleet.pass_time(1)
        fleet.add_steward(PORTS[0])
        member = fleet.add_member()
        fleet.pass_time(1)
        assert fleet.holder(first) is member
        assert fleet.server.model.task(second)["version"] == 0


def test_a_job_whose_holder_died_goes_before_those_that_came_later() -> None:
    with closing(Fleet()) as fleet:
        fleet.add_steward(PORTS[0])
        for _ in range(2):
            fleet.add_member()
        fleet.pass_time(3)
        first = fleet.submit(30)
        fleet.pass_time(1)
        jobs = [fleet.submit(seconds) for seconds in (3.0, 1.0, 1.0)]
        fleet.pass_time(1)
        fleet.kill_member(fleet.holder(first))
        fleet.pass_time(3)
        assert fleet.server.model.task(jobs[0])["state"] == "fulfilled"
        assert fleet.holder(first) is fleet.members[0]
        assert [fleet.server.model.task(job)["version"] for job in jobs[1:]] == [0, 0]


@pytest.mark.parametrize(("id", "claims"), [("job:1", 0), ("job", 6)])
@pytest.mark.parametrize("early", [True, False])
def test_a_durable_sleep_is_claimed_by_nobody(id: str, claims: int, *, early: bool) -> None:
    """Neither by a search nor by a hint. One that is nobody's child is given back, more seldom."""
    with closing(Fleet()) as fleet:
        if not early:
            fleet.add_steward(PORTS[0])
            fleet.add_member()
            fleet.pass_time(3)
        sleep = fleet.server.model.job(id, timer="true")
        fleet.server.send_soon()
        if early:
            fleet.add_steward(PORTS[0])
            fleet.add_member()
        fleet.pass_time(10)
        assert fleet.server.model.task(sleep)["version"] <= claims


def test_a_claim_that_a_stranger_was_quicker_with_gives_the_slot_back() -> None:
    with closing(Fleet()) as fleet:
        fleet.add_steward(PORTS[0])
        member = fleet.add_member()
        fleet.pass_time(3)
        member.process.lag = 0.5
        job = fleet.submit(1.0)
        fleet.pass_time(0.02)
        fleet.server.model.claim(job, "stranger", 60)
        fleet.pass_time(3)
        member.process.lag = 0.001
        fleet.check_knowledge()
        job = fleet.submit(1.0)
        fleet.pass_time(0.1)
        assert fleet.holder(job) is member


def test_an_assignment_that_a_draining_member_returns_goes_on_at_once() -> None:
    with closing(Fleet()) as fleet:
        steward = fleet.add_steward(PORTS[0])
        members = {one.process.name: one for one in (fleet.add_member(), fleet.add_member())}
        fleet.pass_time(3)
        job = fleet.submit(1.0)
        [group] = steward._dispatch.groups.values()  # noqa: SLF001 - what it has assigned
        while not group.matcher.assigned:
            fleet.pass_time(0.0001)
        first = members.pop(group.matcher.assigned[job].member.name)
        first._runner.intake.close()  # noqa: SLF001 - before the assignment arrives
        fleet.pass_time(0.1)
        assert [fleet.holder(job)] == list(members.values())


def test_a_job_that_was_cancelled_while_it_waited_waits_no_more_after_a_search() -> None:
    with closing(Fleet()) as fleet:
        steward, _ = fleet.add_steward(PORTS[0]), fleet.add_member()
        fleet.pass_time(3)
        _, waits, cancelled = [fleet.submit(60) for _ in range(3)]
        fleet.pass_time(1)
        fleet.server.model.call("promise.settle", id=cancelled, state="rejected_canceled")
        steward._dispatch.survey_loop.want_survey()  # noqa: SLF001 - another one would be due in 10 s
        fleet.pass_time(1)
        [group] = steward._dispatch.groups.values()  # noqa: SLF001 - what it keeps
        assert list(group.matcher.queue.waiting) == [waits]

"""A member that is told to go: nothing redone that fits the deadline, the rest handed back."""

import signal

import pytest

from resonate_fleet.contract.journal import MemberStopped
from tests.support.fleet import Fleet
from tests.support.recovery import ends, version, wait_all_claimed, wait_claims

pytestmark = pytest.mark.system


def test_twenty_jobs_that_fit_the_deadline_are_finished_and_none_redone(fleet: Fleet) -> None:
    leaving = fleet.worker("leaving", WORKER_SLOTS="20")
    jobs = fleet.submit("--count", "20", "--cost", "1..2")
    wait_all_claimed(fleet, jobs)
    assert len(fleet.server.tasks("acquired")) == 20, "all run when the signal comes"
    leaving.terminate()
    assert leaving.wait(20) == 0
    results = fleet.server.wait_results(jobs, 1)
    assert {result["attempt"] for result in results.values()} == {1}
    assert [version(fleet, job) for job in jobs] == [1] * 20
    (stopped,) = fleet.journal_of(MemberStopped)
    assert (stopped.done, stopped.handed_back, stopped.lost) == (20, 0, 0)


@pytest.mark.parametrize("second_signal", [False, True])
def test_a_longer_job_is_handed_back_and_starts_elsewhere_at_once(
    fleet: Fleet,
    second_signal: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    leaving = fleet.worker("leaving", WORKER_DRAIN="60" if second_signal else "0.5")
    (job,) = fleet.submit("--count", "1", "--cost", "30")
    wait_claims(fleet, job, 1)
    fleet.worker("staying")
    leaving.terminate()
    if second_signal:
        leaving.line("drain.step")
        leaving.send(signal.SIGTERM)
    assert leaving.wait(10) == 0, "a blocking body ends with its process"
    (handed_back,) = ends(fleet, job, "released")
    assert wait_claims(fleet, job, 2)[1].at - handed_back.at <= 1.0
    assert version(fleet, job) == 2

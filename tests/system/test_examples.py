"""Every behaviour of the published examples, on real processes and real sockets."""

import itertools
import time

import pytest
from resonate.resonate import Resonate

from resonate_fleet.contract.journal import Claimed, ClientEnded, Ended, StepBegan, StepEnded
from tests.support.fleet import Fleet, holders
from tests.support.processes import Process
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

#: A short lease, so that a member's death without a steward costs a test little.
LEASE = 1.5


def holder_of(fleet: Fleet, job: str, workers: list[Process]) -> Process:
    """Wait until one of `workers` holds `job`; return that one."""
    held = wait_until(lambda: holders(fleet.server).get(job), 10, f"{job} is held")
    return next(worker for worker in workers if fleet.member(worker) == held["pid"])


def test_work_spreads_over_three_workers_as_it_comes(fleet: Fleet) -> None:
    workers = fleet.workers(3)
    ids = fleet.submit("--count", "12", "--cost", "0.3", "--rate", "12")
    results = fleet.server.wait_results(ids)
    assert {result["member"] for result in results.values()} == {fleet.member(w) for w in workers}
    assert all(result["attempt"] == 1 for result in results.values())
    assert sorted(line.job for line in fleet.journal_of(Claimed)) == sorted(ids)


def test_the_job_of_a_killed_worker_is_done_by_another(fleet: Fleet) -> None:
    workers = fleet.workers(2, WORKER_LEASE=str(LEASE))
    (job,) = fleet.submit("--cost", "1")
    victim = holder_of(fleet, job, workers)
    victim.kill()
    killed = time.time()
    result = fleet.server.wait_results([job])[job]
    (other,) = [worker for worker in workers if worker is not victim]
    assert (result["member"], result["attempt"]) == (fleet.member(other), 2)
    assert result["began"] - killed <= LEASE + 2


def test_a_backlog_sent_while_no_worker_is_up_drains_when_one_comes(fleet: Fleet) -> None:
    ids = fleet.submit("--count", "12", "--cost", "0.1")
    assert len(fleet.server.tasks("pending")) == 12
    worker = fleet.worker("late", WORKER_SLOTS="4")
    results = fleet.server.wait_results(ids)
    assert {result["member"] for result in results.values()} == {fleet.member(worker)}


def test_the_same_id_twice_runs_once(fleet: Fleet) -> None:
    fleet.workers(2)
    fleet.submit("--id", "twice", "--id", "twice", "--cost", "0.3")
    first = fleet.server.wait_results(["twice"])["twice"]
    fleet.submit("--id", "twice", "--cost", "0.3")
    fleet.server.wait_results(fleet.submit("--cost", "0.1"))  # whatever had been sent is through
    assert fleet.server.result("twice") == first
    assert [line.job for line in fleet.journal_of(Claimed)].count("twice") == 1
    task = fleet.server.task("twice")
    assert task is not None
    assert (task["state"], task["version"]) == ("fulfilled", 1)


def test_the_client_is_gone_before_any_job_ends(fleet: Fleet) -> None:
    fleet.worker("w", WORKER_SLOTS="4")
    ids = fleet.submit("--count", "4", "--cost", "1.5")
    assert all(fleet.server.result(job) is None for job in ids)
    fleet.server.wait_results(ids)
    (gone,) = fleet.journal_of(ClientEnded)
    assert all(line.at > gone.at for line in fleet.journal_of(Ended))


def test_a_durable_sleep_that_a_kill_interrupts_ends_at_its_original_time(fleet: Fleet) -> None:
    cost = 3.0
    workers = fleet.workers(2, WORKER_LEASE=str(LEASE))
    (job,) = fleet.submit("--function", "compute_durably", "--cost", str(cost))
    (claim,) = wait_until(lambda: fleet.journal_of(Claimed), 10, "the job is claimed")
    victim = next(worker for worker in workers if fleet.member(worker) == claim.who)
    wait_until(lambda: fleet.server.promise(f"{job}:1"), 5, "the sleep has begun")
    victim.kill()
    (other,) = [worker for worker in workers if worker is not victim]
    result = fleet.server.wait_results([job])[job]
    promise = fleet.server.promise(job)
    assert promise is not None
    took = (promise["settledAt"] - promise["createdAt"]) / 1000
    assert cost <= took <= cost + LEASE + 1
    assert result["member"] == fleet.member(other)


def test_results_are_read_by_id_long_after(fleet: Fleet) -> None:
    fleet.worker("w", WORKER_SLOTS="4")
    ids = fleet.submit("--count", "3", "--cost", "0.1")
    done = fleet.client(*itertools.chain(*(("--id", job) for job in ids)), "--wait", "--json")
    assert done.returncode == 0
    assert done.stdout.count('"state":"resolved"') == 3


async def test_results_are_read_by_the_sdk(fleet: Fleet) -> None:
    fleet.worker("w")
    (job,) = fleet.submit("--cost", "0.1")
    resonate = Resonate(url=fleet.server.url, group="readers")
    try:
        handle = await resonate.get(job)
        result = await handle.result()
    finally:
        await resonate.stop()
    assert (result["id"], result["cost"]) == (job, 0.1)


def test_steps_that_are_checkpointed_are_not_redone(fleet: Fleet) -> None:
    workers = fleet.workers(2, WORKER_LEASE=str(LEASE))
    asked = ("--function", "compute_in_steps", "--cost", "2.4", "--steps", "4")
    (job,) = fleet.submit(*asked)
    victim = holder_of(fleet, job, workers)
    wait_until(lambda: len(fleet.journal_of(StepEnded)) >= 2, 10, "two steps are checkpointed")
    victim.kill()
    kept = {line.promise for line in fleet.journal_of(StepEnded)}
    result = fleet.server.wait_results([job])[job]
    assert (result["attempt"], result["steps"]) == (2, 4)
    again = {line.promise for line in fleet.journal_of(StepBegan) if line.who == result["member"]}
    assert len(kept) >= 2
    assert not kept & again
    assert len(kept | again) == 4

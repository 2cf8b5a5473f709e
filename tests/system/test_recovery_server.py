"""The server is killed and comes back on its store; members and clients are killed and rerun."""

import random
import time

import pytest

from resonate_fleet.contract.journal import Ended, ServerBack, ServerLost
from tests.support.fleet import Fleet
from tests.support.recovery import ends, start_workers, version, wait_all_claimed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

ROUNDS = 3


def test_the_server_is_killed_under_load_and_nothing_is_lost_or_doubled(
    durable_fleet: Fleet,
) -> None:
    fleet = durable_fleet
    start_workers(fleet, "ab", WORKER_SLOTS="4", WORKER_LEASE="10")
    jobs = fleet.submit("--count", "60", "--cost", "0.2..1")
    returns = []
    for number in range(1, ROUNDS + 1):
        done = number * len(jobs) // (ROUNDS + 2)
        wait_until(lambda: len(fleet.journal_of(Ended)) >= done, 20, f"{done} jobs are done")  # noqa: B023
        fleet.server.restart()
        returns.append(time.time())
        wait_until(lambda: len(fleet.journal_of(ServerBack)) >= 2 * number, 5, "both are back")  # noqa: B023
    results = fleet.server.wait_results(jobs, 40)
    assert len(results) == len(jobs)
    resolved = {job: len(ends(fleet, job, "resolved")) for job in jobs}
    assert resolved == dict.fromkeys(jobs, 1), "one accepted result each"
    back = [line.at for line in fleet.journal_of(ServerBack)]
    for returned in returns:
        late = [at - returned for at in back if at >= returned - 1][:2]
        assert max(late) <= 2.0, "both reconnect within 2 s of its return"
    assert len(fleet.journal_of(ServerLost)) >= ROUNDS


def test_a_rolling_restart_redoes_nothing_that_fits_the_deadline(fleet: Fleet) -> None:
    old = start_workers(fleet, ("old-1", "old-2", "old-3"), WORKER_SLOTS="2")
    jobs = fleet.submit("--count", "45", "--cost", "0.2..0.6")
    wait_all_claimed(fleet, jobs[:3])
    for number, leaving in enumerate(old, start=1):
        (fresh,) = start_workers(fleet, [f"new-{number}"], WORKER_SLOTS="2")
        leaving.terminate()
        assert leaving.wait(10) == 0
        assert fresh.running
    assert sum(one.lines("drain.step")[0]["held"] for one in old) > 0, "none was busy"
    fleet.server.wait_results(jobs, 30)
    assert {version(fleet, job) for job in jobs} == {1}


def test_a_client_killed_at_any_point_and_rerun_leaves_every_job_once(fleet: Fleet) -> None:
    dice = random.Random(7)
    start_workers(fleet, "a", WORKER_SLOTS="8")
    load = ("--count", "30", "--cost", "0.05", "--id-prefix", "rerun", "--seed", "3")
    for attempt in range(4):
        client = fleet.start_client(f"client-{attempt}", *load, "--rate", "40")
        if attempt:  # the first one is killed before it is under way, the others in the middle
            client.line("job.confirmed")
            time.sleep(dice.uniform(0, 0.5))  # the point is meant to be anywhere
        client.kill()
    jobs = fleet.submit(*load)
    assert len(set(jobs)) == 30
    fleet.server.wait_results(jobs, 30)
    _, found = fleet.server.call("promise.search", limit=1000)
    assert sorted(promise["id"] for promise in found["promises"]) == sorted(jobs)
    assert {version(fleet, job) for job in jobs} == {1}

"""Every alert fires when its fault happens to a real fleet under a real Prometheus.

Windows are shortened (tests/support/prometheus.py), faults are those of the runbooks.
"""

from pathlib import Path

import pytest

from contract.journal import Claimed, Parked
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.prometheus import WatchedFleet, all_done
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def watched(durable_fleet: Fleet, tmp_path: Path) -> WatchedFleet:
    one = WatchedFleet(durable_fleet, tmp_path, crashes=1)
    one.prometheus.start()
    return one


def holds(watched: WatchedFleet, member: str) -> bool:
    return any(line.who == member for line in watched.fleet.journal_of(Claimed))


def test_work_and_nobody_there(watched: WatchedFleet) -> None:
    """No members, then no progress, then jobs that wait too long; a worker ends all three."""
    jobs = watched.fleet.submit("--count", "6", "--cost", "0.1")
    for alert in ("FleetNoMembers", "FleetNoProgress", "FleetOldestWaitingTooOld"):
        watched.prometheus.fires(alert)
    watched.worker("w0")
    wait_until(lambda: all_done(watched.fleet, jobs), 20, "the backlog to drain")
    quiet = {"FleetNoMembers", "FleetNoProgress", "FleetOldestWaitingTooOld"}
    wait_until(lambda: not quiet & watched.prometheus.firing(), 20, "the alerts to end")


def test_deaths_and_a_poison_job(watched: WatchedFleet) -> None:
    """A job that ends its process: work redone, then the job parked."""
    functions = {"WORKER_FUNCTIONS": "tests.support.bodies"}
    for name in ("w0", "w1", "w2"):
        watched.worker(name, **functions)
    seen = "count(fleet_worker_slots)"
    wait_until(lambda: watched.prometheus.value(seen) == 3, 20, "three members are scraped")
    post_job(watched.fleet.server, "end_process", 1.0)
    wait_until(lambda: watched.fleet.journal_of(Parked), 30, "the job to be parked")
    watched.prometheus.fires("FleetJobsParked")
    watched.prometheus.fires("FleetRedoRateHigh")


def test_a_frozen_member_loses_its_lease(watched: WatchedFleet) -> None:
    frozen = watched.worker("w0", WORKER_LEASE="1")
    member = watched.fleet.member(frozen)
    watched.fleet.submit("--count", "1", "--cost", "40")
    wait_until(lambda: holds(watched, member), 10, "the member to hold the job")
    seen = "sum(fleet_worker_slots_used)"
    wait_until(lambda: watched.prometheus.value(seen) == 1, 10, "Prometheus to see it")
    other = watched.worker("w1", WORKER_LEASE="1")
    frozen.pause()
    taken = watched.fleet.member(other)
    wait_until(lambda: holds(watched, taken), 20, "the other to take the job")
    frozen.resume()
    watched.prometheus.fires("FleetLeasesLost")


def test_user_code_blocks_the_loop(watched: WatchedFleet) -> None:
    watched.worker("w0", WORKER_FUNCTIONS="tests.support.awkward")
    wait_until(lambda: watched.prometheus.value("sum(fleet_worker_slots)") == 1, 20, "a scrape")
    post_job(watched.fleet.server, "block_the_loop", 6.0)
    watched.prometheus.fires("FleetLoopBlocked")


def test_server_and_steward_gone(watched: WatchedFleet) -> None:
    """The heartbeats of a member that holds a job fail with the server."""
    worker = watched.worker("w0", WORKER_LEASE="3")
    member = watched.fleet.member(worker)
    watched.fleet.submit("--count", "1", "--cost", "40")
    wait_until(lambda: holds(watched, member), 10, "the member to hold the job")
    wait_until(lambda: watched.prometheus.value("sum(up)") == 3, 10, "all are scraped")
    watched.fleet.server.kill()
    watched.steward.kill()
    for alert in ("FleetServerDown", "FleetStewardAbsent", "FleetHeartbeatsFailing"):
        watched.prometheus.fires(alert)

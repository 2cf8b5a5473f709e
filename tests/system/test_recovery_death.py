"""A member that dies, freezes, or only seems to: one result, and soon."""

import os
import signal

import pytest

from resonate_fleet.contract.journal import Claimed, Died, FalseAlarm, HandedOver, LeaseLost
from tests.support.fleet import Fleet
from tests.support.processes import lives
from tests.support.proxy import Cable
from tests.support.recovery import (
    Pair,
    ends,
    now,
    restarted,
    start_workers,
    steward_address,
    version,
    wait_claims,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


def test_killed_with_a_steward_it_starts_elsewhere_long_before_its_lease_ends(
    fleet: Fleet,
) -> None:
    address = steward_address(fleet.steward())
    workers = start_workers(fleet, "ab", address, WORKER_LEASE="60")
    pair = Pair(fleet, workers, "--count", "1", "--cost", "1")
    killed = now()
    pair.victim.kill()
    assert restarted(fleet, pair.job, killed, 10) <= 1.5
    result = fleet.server.wait_results([pair.job])[pair.job]
    assert (result["member"], result["attempt"]) == (pair.other_name, 2)
    assert version(fleet, pair.job) == 2
    (over,) = fleet.journal_of(HandedOver)
    assert (over.job, over.attempt, over.member) == (pair.job, 1, pair.victim_name)


def test_killed_without_a_steward_it_starts_elsewhere_when_its_lease_ends(fleet: Fleet) -> None:
    lease = 2.0
    workers = start_workers(fleet, "ab", WORKER_LEASE=f"{lease:g}")
    pair = Pair(fleet, workers, "--count", "1", "--cost", "1")
    killed = now()
    pair.victim.kill()
    took = restarted(fleet, pair.job, killed, lease + 5)
    assert lease / 2 <= took <= lease + 2
    assert fleet.server.wait_results([pair.job])[pair.job]["attempt"] == 2


def test_a_child_that_a_job_forked_does_not_hide_the_death(fleet: Fleet) -> None:
    address = steward_address(fleet.steward())
    bodies = {"WORKER_FUNCTIONS": "tests.support.bodies"}
    workers = start_workers(fleet, "ab", address, **bodies)
    before = {worker.name: worker.children() for worker in workers}
    call = ("--id", "forks", "--function", "leave_child", "--args", '["forks", 20]')
    pair = Pair(fleet, workers, *call)
    others = before[pair.victim.name]
    (child,) = wait_until(lambda: pair.victim.children() - others, 5, "the child is there")
    killed = now()
    pair.victim.kill()
    try:
        assert restarted(fleet, pair.job, killed, 10) <= 1.5
        assert lives(child)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("function", ["compute_something", "compute_in_steps"])
def test_frozen_for_twice_its_lease_it_writes_nothing_when_it_thaws(
    fleet: Fleet, function: str
) -> None:
    lease = 1.0
    workers = start_workers(fleet, "ab", WORKER_LEASE=f"{lease:g}")
    pair = Pair(fleet, workers, "--count", "1", "--cost", "4", "--function", function)
    frozen = now()
    pair.victim.pause()
    assert restarted(fleet, pair.job, frozen, lease + 5) <= lease + 2
    wait_until(lambda: now() - frozen >= 2 * lease, 5, "it is frozen for twice its lease")
    pair.victim.resume()
    wait_until(lambda: fleet.journal_of(LeaseLost), 5, "it notices, and counts it")
    (lost,) = fleet.journal_of(LeaseLost)
    assert (lost.who, lost.job, lost.attempt) == (pair.victim_name, pair.job, 1)
    # Its next heartbeat notices, or the server refuses its late write, whichever comes first.
    wait_until(
        lambda: ends(fleet, pair.job, "lost") or ends(fleet, pair.job, "refused"),
        5,
        "and the body is ended",
    )
    result = fleet.server.wait_results([pair.job])[pair.job]
    assert (result["member"], result["attempt"]) == (pair.other_name, 2)
    assert version(fleet, pair.job) == 2
    # Hints may all go to the other, and an idle member rests between two looks: the backlog lasts.
    more = set(fleet.submit("--count", "10", "--cost", "3"))

    def takes() -> set[str]:
        return more & {one.job for one in fleet.journal_of(Claimed) if one.who == pair.victim_name}

    wait_until(takes, 30, "it takes other work")


def test_a_false_alarm_costs_work_and_never_a_second_result(fleet: Fleet) -> None:
    address = steward_address(fleet.steward())
    with Cable(f"http://{address}") as one, Cable(f"http://{address}") as two:
        cables = {"a": one, "b": two}
        workers = [
            start_workers(fleet, name, cable.url.removeprefix("http://"))[0]
            for name, cable in cables.items()
        ]
        pair = Pair(fleet, workers, "--count", "1", "--cost", "2")
        cable = cables[pair.victim.name]
        cable.cut()
        wait_claims(fleet, pair.job, 2)
        cable.mend()
        wait_until(lambda: fleet.journal_of(FalseAlarm), 5, "the steward sees its error")
        wait_until(lambda: fleet.journal_of(LeaseLost), 5, "the member hears of it")
        result = fleet.server.wait_results([pair.job])[pair.job]
    assert (result["member"], result["attempt"]) == (pair.other_name, 2)
    assert [line.member for line in fleet.journal_of(Died)] == [pair.victim_name]
    (lost,) = fleet.journal_of(LeaseLost)
    assert (lost.who, lost.job, lost.attempt) == (pair.victim_name, pair.job, 1)
    assert version(fleet, pair.job) == 2, "the work that was redone is counted"

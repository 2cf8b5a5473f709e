"""Who gets which job when: stewards, members and a server as processes."""

import os
import signal
import time
import urllib.request

import msgspec
import pytest

from resonate_fleet.contract.journal import Claimed, Died, HandedOver, LeaseLost
from resonate_fleet.contract.live import LiveState
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.processes import Process
from tests.support.recovery import (
    claims,
    now,
    restarted,
    start_workers,
    steward_address,
    wait_all_claimed,
    wait_claims,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


def begun(fleet: Fleet) -> list[str]:
    """Return the jobs in the order of their first claims."""
    return list(dict.fromkeys(line.job for line in fleet.journal_of(Claimed)))


def state(steward: Process) -> LiveState:
    port = steward.line("steward.started")["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/state", timeout=5) as answer:
        return msgspec.json.decode(answer.read(), type=LiveState)


def addresses(*stewards: Process) -> str:
    return ",".join(steward_address(one) for one in stewards)


def wait_both_met(members: list[Process]) -> None:
    """Wait until each member has met both stewards."""

    def met() -> bool:
        return all(len(one.lines("presence.held")) == 2 for one in members)

    wait_until(met, 20, "both are met")


def test_jobs_begin_in_the_order_of_their_creation_whatever_their_ids_are(fleet: Fleet) -> None:
    waiting = [post_job(fleet.server, "compute_something", 0.0, id=f"w-{n}") for n in range(15)]
    address = steward_address(fleet.steward())
    start_workers(fleet, "a", address)
    more = [post_job(fleet.server, "compute_something", 0.0, id=f"live-{n}") for n in range(15)]
    fleet.server.wait_results(waiting + more, 30)
    assert begun(fleet)[: len(waiting)] == waiting
    # Hints of the same few milliseconds come in the order of the server's own choosing.
    assert set(begun(fleet)[len(waiting) :]) == set(more)


def test_a_frozen_member_holds_nothing_up_for_longer_than_a_second(fleet: Fleet) -> None:
    address = steward_address(fleet.steward())
    frozen, _ = start_workers(fleet, ("frozen", "fit"), address, WORKER_SLOTS="4")
    frozen.send(signal.SIGSTOP)
    try:
        jobs = [post_job(fleet.server, "compute_something", 0.0) for _ in range(8)]
        began = time.monotonic()
        fleet.server.wait_results(jobs, 20)
        assert time.monotonic() - began < 4  # 1.1 on a machine at rest
        later = [post_job(fleet.server, "compute_something", 0.0) for _ in range(4)]
        wait_all_claimed(fleet, later)
        fit = {line.who for line in fleet.journal_of(Claimed)}
        assert [name.partition("-")[0] for name in fit] == ["fit"]
        waits = [line.waited for line in fleet.journal_of(Claimed) if line.job in later]
        assert max(waits) < 1.0, "it has not answered, so it gets nothing new"
    finally:
        frozen.send(signal.SIGCONT)


def test_a_steward_that_is_killed_under_load_costs_no_attempt(fleet: Fleet) -> None:
    first, second = fleet.steward("first"), fleet.steward("second")
    workers = start_workers(fleet, "abc", addresses(first, second), WORKER_SLOTS="2")
    wait_both_met(workers)
    wait_until(lambda: state(first).serving, 10, "the longest-standing one serves")
    assert not state(second).serving
    jobs = []
    for number in range(60):
        jobs.append(post_job(fleet.server, "compute_something", 0.1))
        if number == 30:
            first.kill()
    fleet.server.wait_results(jobs, 30)
    assert [line.job for line in fleet.journal_of(Claimed) if line.attempt > 1] == []
    assert state(second).serving
    assert fleet.journal_of(Died) == []


def test_a_steward_takes_over_while_every_slot_is_busy(fleet: Fleet) -> None:
    """It serves and knows what comes from then on, long before a slot is offered to it."""
    first, second = fleet.steward("first"), fleet.steward("second")
    members = start_workers(fleet, "ab", addresses(first, second))
    wait_both_met(members)
    running = [post_job(fleet.server, "compute_something", 600.0) for _ in members]
    wait_all_claimed(fleet, running)
    first.kill()
    wait_until(lambda: state(second).serving, 20, "the other serves")
    waits = post_job(fleet.server, "compute_something", 0.0)
    wait_until(lambda: state(second).groups[0].waiting == 1, 20, "it is known")
    assert sorted(one.task for one in state(second).running) == sorted(running)
    fleet.worker("c", WORKER_STEWARD=addresses(second))
    wait_claims(fleet, waits, 1)


def test_without_stewards_work_goes_on_and_with_one_again_it_is_used(fleet: Fleet) -> None:
    steward = fleet.steward()
    port = steward.line("steward.started")["presence_port"]
    start_workers(fleet, "abc", steward_address(steward))
    jobs = [post_job(fleet.server, "compute_something", 0.2) for _ in range(15)]
    wait_all_claimed(fleet, jobs[:3])
    steward.kill()
    more = [post_job(fleet.server, "compute_something", 0.2) for _ in range(6)]
    fleet.server.wait_results(jobs + more, 30)
    again = fleet.steward("again", STEWARD_PRESENCE_PORT=str(port))
    wait_until(lambda: len(state(again).members) == 3 and state(again).serving, 5, "all are back")
    last = post_job(fleet.server, "compute_something", 0.0)
    fleet.server.wait_results([last], 10)
    assert state(again).groups[0].done == 1
    assert [line.job for line in fleet.journal_of(Claimed) if line.attempt > 1] == []


def test_the_serving_steward_and_a_worker_die_together(fleet: Fleet) -> None:
    first, second = fleet.steward("first"), fleet.steward("second")
    workers = start_workers(fleet, "ab", addresses(first, second), WORKER_LEASE="60")
    wait_both_met(workers)
    job = post_job(fleet.server, "compute_something", 1.0)
    holder = wait_claims(fleet, job, 1)[0].who
    (victim,) = (one for one in workers if fleet.member(one) == holder)
    killed = now()
    for process in (first, victim):
        os.kill(process.pid, signal.SIGKILL)
    assert restarted(fleet, job, killed, 20) <= 3  # 0.4 on a machine at rest
    (over,) = fleet.journal_of(HandedOver)
    assert over.who == "second"
    assert claims(fleet, job)[-1].attempt == 2


def test_both_stewards_see_a_death_and_one_of_them_acts(fleet: Fleet) -> None:
    first, second = fleet.steward("first"), fleet.steward("second")
    workers = start_workers(fleet, "ab", addresses(first, second), WORKER_LEASE="60")
    wait_both_met(workers)
    job = post_job(fleet.server, "compute_something", 1.0)
    holder = wait_claims(fleet, job, 1)[0].who
    next(one for one in workers if fleet.member(one) == holder).kill()
    fleet.server.wait_results([job], 20)

    def shown(steward: Process) -> str:
        return next(one.state for one in state(steward).members if one.member == holder)

    for steward in (first, second):
        wait_until(lambda s=steward: shown(s) == "dead", 10, "it counts as dead")  # type: ignore[misc] # mypy has no type for a default
    assert [line.who for line in fleet.journal_of(Died)] == ["first"]
    assert len(fleet.journal_of(HandedOver)) == 1
    assert fleet.journal_of(LeaseLost) == []


def test_a_parent_does_not_overtake_its_children(fleet: Fleet) -> None:
    address = steward_address(fleet.steward())
    functions = {"WORKER_FUNCTIONS": "tests.support.families"}
    start_workers(fleet, "a", address, **functions)
    parent = post_job(fleet.server, "parent", 40)
    fleet.server.wait_results([parent], 60)
    assert fleet.server.task(parent)["version"] <= 3  # type: ignore[index] # it is there
    assert len(claims(fleet, parent)) >= 41, "each child is a claim of the family's job"


def test_one_that_lacks_a_function_leaves_the_job_to_one_that_has_it(fleet: Fleet) -> None:
    steward = fleet.steward()
    address = steward_address(steward)
    start_workers(fleet, ("old",), address)
    job = post_job(fleet.server, "parent", 1)
    blocked = {"nobody has the function parent": 1}
    wait_until(lambda: state(steward).groups[0].blocked == blocked, 10, "it says what is missing")
    fleet.worker("new", WORKER_STEWARD=address, WORKER_FUNCTIONS="tests.support.families")
    fleet.server.wait_results([job], 20)
    assert state(steward).groups[0].blocked == {}
    tried = [line for line in claims(fleet, job) if line.task == job]
    assert [line.who.partition("-")[0] for line in tried][:2] == ["old", "new"]
    # Where members differ, the steward looks at what a job calls before it hands it out.
    more = [post_job(fleet.server, "parent", 1) for _ in range(4)]
    fleet.server.wait_results(more, 20)
    assert {line.who.partition("-")[0] for job in more for line in claims(fleet, job)} == {"new"}
    shown = {one.job: one.shown for one in state(steward).ended if one.attempt == 2}
    assert shown[job] == 1

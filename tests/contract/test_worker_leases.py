"""Leases on the wire: heartbeats per origin, leases lost, late results."""

import os
import signal
from pathlib import Path

import pytest

from resonate_fleet.contract.journal import Ended
from tests.support.pages import metrics
from tests.support.place import AWKWARD, Place
from tests.support.processes import Process, lives
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


def test_long_blocking_jobs_run_once_with_beats_per_origin(place: Place) -> None:
    with Proxy(place.server.url) as proxy:
        place.worker(RESONATE_URL=proxy.url, WORKER_SLOTS="8", WORKER_LEASE="1")
        jobs = [place.job("compute_something", 3.0) for _ in range(8)]
        results = place.server.wait_results(jobs, 30)
        sent = proxy.kind("task.heartbeat")
    assert [results[job]["attempt"] for job in jobs] == [1] * 8
    assert all(len({task["id"] for task in one["tasks"]}) == 1 for one in sent)
    for job in jobs:
        assert sum(one["tasks"][0]["id"] == job for one in sent) >= 3
        assert place.task(job)["version"] == 1


def test_a_blocked_loop_keeps_its_lease(place: Place) -> None:
    place.worker(WORKER_LEASE="0.6", WORKER_FUNCTIONS=AWKWARD)
    job = place.job("block_the_loop", 1.8)
    assert place.server.wait_results([job], 30)[job] == job
    assert place.task(job)["version"] == 1


def test_a_frozen_member_stops_what_it_lost(place: Place, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    frozen = place.worker(WORKER_LEASE="0.6", WORKER_FUNCTIONS=AWKWARD)
    job = place.job("count_up", 2.0, str(notes))
    place.claimed(job)
    frozen.pause()
    wait_until(lambda: place.task(job)["state"] == "pending", 20, "the lease lapses")
    frozen.resume()
    lost = frozen.line("lease.lost", 30)
    assert (lost["task"], lost["attempt"], lost["why"]) == (job, 1, "lapsed")
    wait_until(notes.exists, 20, "the body ends")
    assert notes.read_text().splitlines()[0] == "Stopped"
    place.server.wait_results([job], 30)
    place.ended(job, 2)
    assert [line.outcome for line in place.lines(Ended, job)] == ["lost", "resolved"]
    assert place.task(job)["version"] == 2


def test_a_late_result_is_refused_and_counted(place: Place) -> None:
    # The job is halted on the server; before the next heartbeat tells, the result is there.
    worker = place.worker(WORKER_LEASE="60")
    job = place.job("compute_something", 0.5)
    place.claimed(job)
    assert place.server.call("task.halt", id=job)[0] == 200
    assert place.ended(job).outcome == "refused"
    assert worker.line("lease.lost", 30)["why"] == "halted"
    assert (place.server.promise(job) or {})["state"] == "pending"
    assert "fleet_worker_late_results_refused_total 1.0" in metrics(worker)


def test_a_partitioned_member_gives_up_after_its_lease(place: Place, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with Proxy(place.server.url) as proxy:
        worker = place.worker(RESONATE_URL=proxy.url, WORKER_LEASE="0.6", WORKER_FUNCTIONS=AWKWARD)
        job = place.job("wait_on_loop", 30, str(notes))
        place.claimed(job)
        proxy.cut()
        assert worker.line("lease.lost", 30)["why"] == "lapsed"
        wait_until(notes.exists, 20, "the body ends")
        assert notes.read_text() == "cancelled\n"
        proxy.mend()
        worker.line("server.back", 30)
        place.claimed(job, 2)
    assert len(worker.lines("lease.lost")) == 1


def test_a_claim_that_the_server_fails_is_sent_again(place: Place) -> None:
    """Server v0.9.8 on PostgreSQL answers 500 where claims of one job race."""
    with Proxy(place.server.url) as proxy:
        place.worker(RESONATE_URL=proxy.url, WORKER_FUNCTIONS=AWKWARD)
        proxy.fail_once("task.acquire")
        job = place.job("add", 1, 1)
        assert place.server.wait_results([job], 30)[job] == 2
        claims = [one for one in proxy.requests if one["kind"] == "task.acquire"]
        assert [(one["data"]["id"], one["data"]["version"]) for one in claims] == [(job, 0)] * 2
        assert claims[0]["head"] == claims[1]["head"], "the same request, not a new search's"


def test_heartbeats_that_a_server_with_a_full_disk_refuses_are_said_though_it_answers_reads(
    place: Place,
) -> None:
    with Proxy(place.server.url) as proxy:
        worker = place.worker(RESONATE_URL=proxy.url, WORKER_LEASE="9", WORKER_SLOTS="2")
        proxy.fail("task.heartbeat")
        job = place.job("compute_something", 10.0)
        place.claimed(job)
        answered = [place.job("compute_something", 0.4) for _ in range(60)]
        refused = worker.line("requests.refused", 30)
        assert "heartbeat: " in refused["why"]
        assert "500" in refused["why"]
        assert (place.server.promise(answered[-1]) or {})["state"] == "pending", "others go on"
        proxy.mend()
        worker.line("requests.accepted", 30)
        assert place.server.wait_results([job], 60)


def heartbeat_process_of(worker: Process) -> int:
    """Return the process that keeps the member's leases; wait for it."""
    (found,) = wait_until(worker.children, 10, "the process that keeps leases runs")
    return found


def test_a_body_that_holds_the_interpreter_keeps_its_lease(place: Place) -> None:
    place.worker(WORKER_LEASE="1.5", WORKER_FUNCTIONS=AWKWARD)
    job = place.job("hold_interpreter", 5.0)
    assert place.server.wait_results([job], 40)[job] == job
    assert place.task(job)["version"] == 1
    assert [line.outcome for line in place.lines(Ended, job)] == ["resolved"]


def test_the_process_that_keeps_leases_ends_with_its_member_and_is_replaced(place: Place) -> None:
    worker = place.worker(WORKER_LEASE="1.5", WORKER_FUNCTIONS=AWKWARD)
    first = heartbeat_process_of(worker)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: heartbeat_process_of(worker) != first, 10, "another")
    job = place.job("hold_interpreter", 4.0)
    place.server.wait_results([job], 40)
    assert place.task(job)["version"] == 1
    second = heartbeat_process_of(worker)
    worker.kill()
    wait_until(lambda: not lives(second), 10, "it ends")


def test_the_process_that_keeps_leases_sends_nothing_while_its_member_does(place: Place) -> None:
    with Proxy(place.server.url) as proxy:
        place.worker(RESONATE_URL=proxy.url, WORKER_LEASE="3")
        job = place.job("compute_something", 4.0)
        place.server.wait_results([job], 30)
        heads = [one["head"]["corrId"] for one in proxy.requests if one["kind"] == "task.heartbeat"]
    assert heads
    assert not [one for one in heads if one.startswith("heartbeat-process-")]

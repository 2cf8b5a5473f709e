"""Leases on the wire: beats per origin, leases lost, late results."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from contract.journal import Claimed, Ended, LeaseLost
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.pages import metrics
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.servers import Server, ServerKind
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
AWKWARD = "tests.support.awkward"


def claims(fleet: Fleet, job: str) -> list[Claimed]:
    return [line for line in fleet.journal_of(Claimed) if line.job == job]


def task(fleet: Fleet, job: str) -> dict[str, Any]:
    return fleet.server.task(job) or {}


def outcomes(fleet: Fleet, job: str) -> list[str]:
    return [line.outcome for line in fleet.journal_of(Ended) if line.job == job]


@pytest.fixture
def strict(server_kind: ServerKind, processes: Processes, tmp_path: Path) -> Fleet:
    """A fleet whose embedded server refuses heartbeats over several origins."""
    server = Server(server_kind, processes, env={"DEVSERVER_STRICT_ORIGIN": "true"})
    return Fleet(server, processes, tmp_path)


def test_long_blocking_jobs_run_once_with_beats_per_origin(strict: Fleet) -> None:
    with Proxy(strict.server.url) as proxy:
        strict.worker("w", RESONATE_URL=proxy.url, WORKER_SLOTS="8", WORKER_LEASE="1")
        jobs = [post_job(strict.server, "compute_something", 3.0) for _ in range(8)]
        results = strict.server.wait_results(jobs, 20)
        beats = proxy.kind("task.heartbeat")
    assert [results[job]["attempt"] for job in jobs] == [1] * 8
    assert all(len({task["id"] for task in beat["tasks"]}) == 1 for beat in beats)
    for job in jobs:
        assert sum(beat["tasks"][0]["id"] == job for beat in beats) >= 3
    assert all(task(strict, job)["version"] == 1 for job in jobs)


def test_a_blocked_loop_keeps_its_lease(fleet: Fleet) -> None:
    fleet.worker("w", WORKER_LEASE="0.6", WORKER_FUNCTIONS=AWKWARD)
    job = post_job(fleet.server, "block_the_loop", 1.8)
    assert fleet.server.wait_results([job], 10)[job] == job
    assert task(fleet, job)["version"] == 1


def test_a_frozen_member_stops_what_it_lost(fleet: Fleet, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    frozen = fleet.worker("frozen", WORKER_LEASE="0.6", WORKER_FUNCTIONS=AWKWARD)
    job = post_job(fleet.server, "count_up", 3.0, str(notes))
    wait_until(lambda: claims(fleet, job), 5, "the job is claimed")
    frozen.pause()
    wait_until(lambda: task(fleet, job)["state"] == "pending", 5, "the lease lapses")
    frozen.resume()
    lost = frozen.line("lease.lost")
    assert (lost["task"], lost["attempt"], lost["why"]) == (job, 1, "lapsed")
    wait_until(notes.exists, 5, "the body ends")
    assert notes.read_text().splitlines()[0] == "Stopped"
    fleet.server.wait_results([job], 15)
    assert outcomes(fleet, job) == ["lost", "resolved"]
    assert task(fleet, job)["version"] == 2


def test_a_late_result_is_refused_and_counted(fleet: Fleet) -> None:
    # The lease is halted on the server; before the next beat tells, the result is there.
    worker = fleet.worker("w", WORKER_LEASE="60")
    job = post_job(fleet.server, "compute_something", 0.5)
    wait_until(lambda: claims(fleet, job), 5, "the job is claimed")
    assert fleet.server.call("task.halt", id=job)[0] == 200
    ended = worker.line("job.ended")
    assert (ended["job"], ended["outcome"]) == (job, "refused")
    assert (fleet.server.promise(job) or {})["state"] == "pending"
    assert "fleet_worker_late_results_refused_total 1.0" in metrics(worker)


def test_a_partitioned_member_gives_up_after_its_lease(fleet: Fleet, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with Proxy(fleet.server.url) as proxy:
        worker = fleet.worker(
            "cut", RESONATE_URL=proxy.url, WORKER_LEASE="0.6", WORKER_FUNCTIONS=AWKWARD
        )
        job = post_job(fleet.server, "wait_on_loop", 30, str(notes))
        wait_until(lambda: claims(fleet, job), 5, "the job is claimed")
        proxy.cut()
        assert worker.line("lease.lost")["why"] == "lapsed"
        wait_until(notes.exists, 5, "the body ends")
        assert notes.read_text() == "cancelled\n"
        proxy.mend()
        worker.line("server.back")
        wait_until(lambda: len(claims(fleet, job)) == 2, 5, "the job is claimed again")
    os.kill(worker.pid, signal.SIGKILL)
    assert len(fleet.journal_of(LeaseLost)) == 1

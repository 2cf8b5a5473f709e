"""Stopping in order, on SIGTERM and SIGINT."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contract.journal import Claimed, DrainStep, Ended
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.pages import page
from tests.support.processes import Process, Processes
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
STEPS = ["not-ready", "intake-closed", "finishing", "handing-back", "closed"]
AWKWARD = "tests.support.awkward"


def claimed(fleet: Fleet, count: int) -> None:
    wait_until(lambda: len(fleet.journal_of(Claimed)) >= count, 10, f"{count} claims")


def steps(worker: Process) -> list[str]:
    return [line["step"] for line in worker.lines("drain.step")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_held_is_finished(fleet: Fleet, number: signal.Signals) -> None:
    worker = fleet.worker("w", WORKER_SLOTS="4")
    jobs = [post_job(fleet.server, "compute_something", 0.8) for _ in range(4)]
    claimed(fleet, 4)
    waiting = post_job(fleet.server, "compute_something", 0.1)
    worker.send(number)
    worker.line("drain.step")
    assert page(worker, "/readyz")[0] == 503
    assert page(worker, "/livez")[0] == 200
    assert worker.wait(10) == 0
    assert steps(worker) == STEPS
    assert set(fleet.server.wait_results(jobs, 1)) == set(jobs)
    assert {(fleet.server.task(job) or {})["version"] for job in jobs} == {1}
    assert (fleet.server.task(waiting) or {})["state"] == "pending"
    assert worker.line("member.stopped", 0.1)["done"] == 4


def test_what_takes_too_long_is_handed_back(fleet: Fleet) -> None:
    worker = fleet.worker("first", WORKER_DRAIN="0.3")
    job = post_job(fleet.server, "compute_something", 5.0)
    claimed(fleet, 1)
    fleet.worker("second", WORKER_DRAIN="0")
    worker.terminate()
    assert worker.wait(5) == 0
    claimed(fleet, 2)
    back, again = fleet.journal_of(Ended)[0], fleet.journal_of(Claimed)[1]
    assert (back.job, back.outcome) == (job, "released")
    assert again.who.startswith("second-")
    assert again.at - back.at <= 1.0


def test_a_second_signal_hands_back_at_once(fleet: Fleet) -> None:
    worker = fleet.worker("w", WORKER_DRAIN="60")
    post_job(fleet.server, "compute_something", 60.0)
    claimed(fleet, 1)
    worker.terminate()
    wait_until(lambda: "finishing" in steps(worker), 5, "the drain waits")
    began = time.monotonic()
    worker.terminate()
    assert worker.wait(5) == 0
    assert time.monotonic() - began < 3
    assert [line.outcome for line in fleet.journal_of(Ended)] == ["released"]
    assert [line.held for line in fleet.journal_of(DrainStep)] == [1, 1, 1, 1, 0]


def test_a_blocked_loop_is_drained_too(fleet: Fleet) -> None:
    worker = fleet.worker("w", WORKER_DRAIN="0.2", WORKER_FUNCTIONS=AWKWARD)
    job = post_job(fleet.server, "block_the_loop", 60.0)
    claimed(fleet, 1)
    worker.terminate()
    assert worker.wait(10) == 0
    assert steps(worker) == STEPS
    assert (fleet.server.task(job) or {})["state"] == "pending"


def test_a_checkpointed_step_stays_done(fleet: Fleet, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    first = fleet.worker("first", WORKER_DRAIN="0", WORKER_FUNCTIONS=AWKWARD)
    job = post_job(fleet.server, "two_steps", str(notes))
    first.line("step.ended")
    first.terminate()
    assert first.wait(5) == 0
    fleet.worker("second", WORKER_DRAIN="0", WORKER_FUNCTIONS=AWKWARD)
    assert fleet.server.wait_results([job], 10)[job] == [job, "first", "second"]
    assert notes.read_text().split() == ["first", "second"]


def test_a_server_that_is_gone_does_not_keep_the_member(fleet: Fleet) -> None:
    worker = fleet.worker("w", WORKER_DRAIN="0.2")
    post_job(fleet.server, "compute_something", 60.0)
    claimed(fleet, 1)
    fleet.server.kill()
    worker.terminate()
    assert worker.wait(15) == 0
    assert worker.lines("hand-back.failed")


def test_as_process_1_of_a_container(fleet: Fleet, processes: Processes) -> None:
    namespace = ["unshare", "--pid", "--fork", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("no right to make a namespace of processes")
    env = {"RESONATE_URL": fleet.server.url, "WORKER_PORT": "0", "WORKER_LOG_FORMAT": "json"}
    outer = processes.start("first", [*namespace, sys.executable, "-m", "worker"], env)
    outer.line("member.ready", 30)
    assert outer.line("member.started")["process"] == 1
    inner = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
    os.kill(int(inner[0]), signal.SIGINT)
    assert outer.wait(10) == 0
    assert steps(outer) == STEPS

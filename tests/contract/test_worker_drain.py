"""Stopping in order, on SIGTERM and SIGINT."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from resonate_fleet.contract.journal import Ended
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.pages import page
from tests.support.place import AWKWARD, Place
from tests.support.processes import Process, room_command
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
STEPS = ["not-ready", "intake-closed", "finishing", "handing-back", "closed"]


def steps(worker: Process) -> list[str]:
    return [line["step"] for line in worker.lines("drain.step")]


def test_what_is_held_is_finished(place: Place) -> None:
    worker = place.worker(WORKER_SLOTS="4")
    jobs = [place.job("compute_something", 0.8) for _ in range(4)]
    for job in jobs:
        place.claimed(job)
    waiting = place.job("compute_something", 0.1)
    worker.terminate()
    worker.line("drain.step")
    assert page(worker, "/readyz")[0] == 503
    assert page(worker, "/livez")[0] == 200
    assert worker.wait(30) == 0
    assert steps(worker) == STEPS
    assert set(place.server.wait_results(jobs, 1)) == set(jobs)
    assert {place.task(job)["version"] for job in jobs} == {1}
    assert place.task(waiting)["state"] == "pending"
    assert worker.line("member.stopped", 0.1)["done"] == 4


def test_a_second_signal_hands_back_at_once(place: Place) -> None:
    worker = place.worker(WORKER_DRAIN="60")
    job = place.job("compute_something", 60.0)
    place.claimed(job)
    worker.terminate()
    wait_until(lambda: "finishing" in steps(worker), 20, "the drain waits")
    began = time.monotonic()
    worker.send(signal.SIGINT)
    assert worker.wait(30) == 0
    assert time.monotonic() - began < 10
    assert [line.outcome for line in place.lines(Ended, job)] == ["released"]
    assert worker.line("member.stopped", 0.1)["handed_back"] == 1
    assert [line["held"] for line in worker.lines("drain.step")] == [1, 1, 1, 1, 0]
    assert place.task(job)["state"] == "pending"


def test_a_blocked_loop_is_drained_too(place: Place) -> None:
    worker = place.worker(WORKER_DRAIN="0.2", WORKER_FUNCTIONS=AWKWARD)
    job = place.job("block_the_loop", 60.0)
    place.claimed(job)
    worker.terminate()
    assert worker.wait(30) == 0
    assert steps(worker) == STEPS
    assert place.task(job)["state"] == "pending"


def test_a_checkpointed_step_stays_done(place: Place, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    first = place.worker("first", WORKER_DRAIN="0", WORKER_FUNCTIONS=AWKWARD)
    job = place.job("two_steps", str(notes))
    first.line("step.ended", 30)
    first.terminate()
    assert first.wait(30) == 0
    place.worker("second", WORKER_DRAIN="0", WORKER_FUNCTIONS=AWKWARD)
    assert place.server.wait_results([job], 30)[job] == [job, "first", "second"]
    assert notes.read_text().split() == ["first", "second"]


def test_a_server_that_is_gone_does_not_keep_the_member(fleet: Fleet) -> None:
    worker = fleet.worker("w", WORKER_DRAIN="0.2")
    post_job(fleet.server, "compute_something", 60.0)
    worker.line("job.claimed")
    fleet.server.kill()
    worker.terminate()
    assert worker.wait(30) == 0
    assert worker.lines("hand-back.failed")


def test_as_process_1_of_a_container(place: Place) -> None:
    namespace = ["unshare", "--pid", "--fork", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("no right to make a namespace of processes")
    env = {"RESONATE_URL": place.server.url, "WORKER_PORT": "0", "WORKER_LOG_FORMAT": "json"}
    command = [*namespace, *room_command("worker")]
    outer = place.fleet.processes.start("first", command, env | {"WORKER_GROUP": place.group})
    outer.line("member.ready", 30)
    assert outer.line("member.started")["process"] == 1
    inner = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
    os.kill(int(inner[0]), signal.SIGINT)
    assert outer.wait(30) == 0
    assert steps(outer) == STEPS

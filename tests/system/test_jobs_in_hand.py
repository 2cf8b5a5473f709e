"""Jobs in hand over real processes: look, list, cancel, run again, with and without a steward."""

import json
import time
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.request import Request, urlopen

import pytest

from resonate_fleet.contract.journal import Ended
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.processes import Process, run_room
from tests.support.waiting import wait_until

FUNCTIONS = """
import asyncio
import time
from datetime import timedelta


def plain(ctx, id, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


async def waits(ctx, id, seconds):
    await asyncio.sleep(seconds)


async def step(ctx, id, seconds):
    await ctx.run(plain, id, seconds)


async def sleeper(ctx, id, seconds):
    await ctx.sleep(timedelta(seconds=seconds))


async def parent(ctx, id, seconds):
    return await ctx.rpc("plain", id, seconds)


def fails(ctx, id):
    raise ValueError("no such customer")


def register(registry):
    for one in (plain, waits, step, sleeper, parent, fails):
        registry.register(one)
"""


class Scene:
    """A fleet with a steward and one member of 24 slots, and the commands that look at it."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "functions_in_hand.py").write_text(FUNCTIONS)
        self.fleet = fleet
        self.steward: Process = fleet.steward()
        started = self.steward.line("steward.started")
        self.pages = f"http://127.0.0.1:{started['port']}"
        self.worker = fleet.worker(
            "w",
            WORKER_STEWARD=f"127.0.0.1:{started['presence_port']}",
            WORKER_SLOTS="24",
            WORKER_FUNCTIONS="functions_in_hand",
            WORKER_RETRIES="0",
            PYTHONPATH=str(folder),
        )

    def run(self, *command: str, steward: bool = True) -> CompletedProcess[str]:
        pages = self.pages if steward else "http://127.0.0.1:9"
        where = ("--server", self.fleet.server.url, "--steward", pages)
        return run_room("fleet", *command, *where, timeout=60)

    def job(self, id: str) -> Any:
        return json.loads(self.run("job", id, "--json").stdout)

    def state(self, id: str) -> str:
        return str(self.job(id)["state"])

    def outcomes(self, id: str) -> list[str]:
        return [line.outcome for line in self.fleet.journal_of(Ended) if line.task == id]

    def running(self, count: int) -> None:
        def enough() -> bool:
            found = self.run("jobs", "--state", "running", "--json").stdout.splitlines()
            return len(found) >= count

        wait_until(enough, 20, f"{count} jobs run")


@pytest.fixture
def scene(fleet: Fleet, tmp_path: Path) -> Scene:
    return Scene(fleet, tmp_path / "functions")


def test_a_job_is_looked_at_listed_and_run_again(scene: Scene) -> None:
    failed = post_job(scene.fleet.server, "fails")
    wait_until(lambda: scene.state(failed) == "failed", 20, "it fails")
    page = scene.job(failed)
    assert page["function"] == "fails"
    assert page["args"] == [failed]
    assert "no such customer" in page["error"]
    (attempt,) = page["attempts"]
    assert (attempt["attempt"], attempt["outcome"]) == (1, "rejected")
    shown = scene.run("job", failed).stdout
    assert "ValueError" in shown
    assert "no such customer" in shown
    listed = scene.run("jobs", "--state", "failed", "--json").stdout
    assert [json.loads(line)["id"] for line in listed.splitlines()] == [failed]
    again = scene.run("rerun", "--failed", "--since", "1h")
    assert again.stdout == f"{failed}-rerun-1 repeats {failed}\n"
    assert scene.job(f"{failed}-rerun-1")["repeats"] == failed
    assert scene.job(failed)["repeated"] == [f"{failed}-rerun-1"]
    searched = scene.run("jobs", "--store", "--state", "failed", "--search", failed)
    assert "by a search of the store" in searched.stdout


def test_running_bodies_of_each_kind_are_stopped_with_one_outcome(scene: Scene) -> None:
    kinds = {"plain": 8, "waits": 4, "step": 4}
    jobs = {
        post_job(scene.fleet.server, name, 120.0): name
        for name, count in kinds.items()
        for _ in range(count)
    }
    scene.running(len(jobs))
    began = time.monotonic()
    done = scene.run("cancel", *jobs)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: all(scene.outcomes(one) for one in jobs), 20, "all have ended")
    assert time.monotonic() - began < 60, "long before the bodies' own ends"
    assert {job: scene.outcomes(job) for job in jobs} == {job: ["cancelled"] for job in jobs}
    assert {scene.state(job) for job in list(jobs)[:3]} == {"cancelled"}
    used = post_job(scene.fleet.server, "plain", 0.0)
    wait_until(lambda: scene.state(used) == "done", 20, "slots are used again")


def test_what_waits_and_what_sleeps_ends_with_its_children(scene: Scene) -> None:
    sleeper = post_job(scene.fleet.server, "sleeper", 120.0)
    parent = post_job(scene.fleet.server, "parent", 120.0)
    wait_until(lambda: scene.state(sleeper) == "sleeping", 20, "it sleeps")
    wait_until(lambda: scene.job(parent)["children"], 20, "it has called its child")
    nobody = post_job(scene.fleet.server, "nobody_has_this", 1.0)
    said = "nobody has the function nobody_has_this"
    wait_until(lambda: scene.job(nobody)["reason"] == said, 20, "the reason is said")
    done = scene.run("cancel", sleeper, parent, nobody)
    assert done.returncode == 0, done.stderr
    for job in (sleeper, parent, nobody):
        assert scene.state(job) == "cancelled"
    (child,) = scene.job(parent)["children"]
    assert child["state"] == "cancelled"
    wait_until(lambda: scene.outcomes(child["id"]) == ["cancelled"], 20, "its body is stopped")
    assert scene.run("cancel", sleeper).returncode == 0, "for the same reason again"
    assert scene.run("cancel", "no-such-job", sleeper, "--why", "another").returncode == 2


def test_all_of_a_function_are_cancelled_and_others_are_not(scene: Scene) -> None:
    mine = [post_job(scene.fleet.server, "waits", 120.0) for _ in range(3)]
    other = post_job(scene.fleet.server, "plain", 120.0)
    scene.running(4)
    assert scene.run("cancel", "--all", "--function", "waits").returncode == 0
    assert {scene.state(job) for job in mine} == {"cancelled"}
    assert scene.state(other) == "running"


def test_an_act_on_all_that_finds_none_says_so(scene: Scene) -> None:
    job = post_job(scene.fleet.server, "waits", 120.0)
    scene.running(1)
    for command, says in (
        (("cancel", "--all", "--function", "plain"), "no job that matches is under way"),
        (("rerun", "--failed"), "no failed job matches"),
    ):
        done = scene.run(*command)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == f"fleet {command[0]}: {says}, from the steward's live state\n"
    assert scene.state(job) == "running"


def test_nobody_stops_a_body_by_saying_that_its_job_is_over(scene: Scene) -> None:
    job = post_job(scene.fleet.server, "waits", 3.0)
    scene.running(1)
    body = json.dumps({"jobs": [job]}).encode()
    request = Request(f"{scene.pages}/settled", data=body)  # noqa: S310 - this test's steward
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
        assert json.loads(answer.read()) == {"stopped": []}
    assert scene.outcomes(job) == [], "it was said in the middle of it"
    wait_until(lambda: scene.outcomes(job), 20, "its body is over")
    assert scene.outcomes(job) == ["resolved"]


def test_what_is_over_stays_as_it_is(scene: Scene) -> None:
    job = post_job(scene.fleet.server, "plain", 0.0, id="two\nlines/of it")
    wait_until(lambda: scene.state(job) == "done", 20, "it is done")
    done = scene.run("cancel", job)
    assert (done.returncode, done.stdout) == (1, f"{job!r} is done already\n")
    assert scene.state(job) == "done"


@pytest.mark.parametrize("steward", [True, False])
def test_mistakes_are_one_line_and_change_nothing(scene: Scene, steward: bool) -> None:  # noqa: FBT001 - a parameter
    running = post_job(scene.fleet.server, "waits", 120.0)
    failed = post_job(scene.fleet.server, "fails")
    scene.running(1)
    wait_until(lambda: scene.state(failed) == "failed", 20, "one has failed")
    for command in (
        ("job", "no-such-job"),
        ("cancel", "no-such-job"),
        ("rerun", "no-such-job"),
        ("jobs", "--state", "asleep"),
        ("jobs", "--since", "yesterday"),
        ("cancel",),
        ("cancel", "--all"),
        ("rerun",),
    ):
        done = scene.run(*command, steward=steward)
        assert done.returncode == 2, command
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert (scene.state(running), scene.state(failed)) == ("running", "failed")
    assert not scene.job(failed).get("repeated")
    assert scene.fleet.server.tasks("pending") == []

"""Two stewards, the serving one killed: the page and `fleet top` go on at the other one."""

import os
import pty
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest

from resonate_fleet.contract.live import LiveState
from tests.support.browser import browser
from tests.support.console import Watched
from tests.support.fleet import Fleet, holders
from tests.support.jobs import post_job
from tests.support.processes import Process, clean_env, free_port, room_command
from tests.support.recovery import steward_address
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

JOBS = {"job-1", "job-2"}


@dataclass(frozen=True)
class Steward:
    name: str
    url: str
    process: Process

    @property
    def presence(self) -> str:
        return steward_address(self.process)

    def state(self) -> LiveState:
        with urlopen(f"{self.url}/state", timeout=10) as answer:  # noqa: S310 - our own steward
            return msgspec.json.decode(answer.read(), type=LiveState)


def two_stewards(fleet: Fleet) -> tuple[Steward, Steward]:
    """Start two, with two members and jobs that they hold; return first the one that serves."""
    ports = {"steward-a": free_port(), "steward-b": free_port()}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    stewards = []
    for name, port in ports.items():
        (peer,) = (url for other, url in urls.items() if other != name)
        started = fleet.steward(name, STEWARD_PORT=str(port), STEWARD_CONSOLE_PEERS=peer)
        stewards.append(Steward(name, urls[name], started))
    presence = ",".join(one.presence for one in stewards)
    fleet.workers(2, WORKER_STEWARD=presence, WORKER_SLOTS="2")
    for job in JOBS:
        post_job(fleet.server, "compute_something", 100, id=job)

    def both_know() -> bool:
        states = [one.state() for one in stewards]
        served = sorted(one.serving for one in states) == [False, True]
        return served and all({run.job for run in one.running} == JOBS for one in states)

    wait_until(both_know, 30, "both know of both jobs, and one of them serves")
    first, other = sorted(stewards, key=lambda one: not one.state().serving)
    return first, other


@pytest.mark.browser
async def test_the_page_shows_members_and_jobs_at_the_other_steward(
    fleet: Fleet, tmp_path: Path
) -> None:
    first, other = two_stewards(fleet)
    held = {job: one["pid"] for job, one in holders(fleet.server).items()}
    members = {one.member for one in other.state().members}
    assert len(members) == 2
    async with browser(tmp_path) as page:
        shown = Watched(page)
        await page.open(f"{first.url}/#/now")
        await shown.until("app.now.lanes.model.bars.length === 2", "it is live")
        first.process.kill()
        await shown.arrives(f"{other.url}/#/now")
        await shown.until("app.model.serving", "the other one serves")
        await shown.until("app.now.lanes.model.bars.length === 2", "it goes on there")
        assert await shown.asks("app.model.steward") == other.name
        kept = "app.now.lanes.model"
        lanes = await shown.asks(f"{kept}.lanes.map((l) => [l.name, l.dead])")
        assert dict(lanes) == dict.fromkeys(members, False)
        bars = await shown.asks(f"{kept}.bars.map((b) => [b.task, b.member, b.attempt, b.end])")
        assert sorted(bars) == [[job, held[job], 1, None] for job in sorted(JOBS)]
        post_job(fleet.server, "nobody_has_it", id="job-3")
        await page.value("location.hash = '#/jobs'")
        cells = "[...row.cells].map((cell) => cell.innerText.trim().split('\\n')[0]).join('\\t')"
        rows = f"[...document.querySelectorAll('#job-rows tr')].map((row) => {cells}).join('\\n')"
        await shown.until(f"{rows}.includes('job-3\\twaiting')", "a job of afterwards is there")
        table = await page.value(rows)
        for job, member in held.items():
            assert f"{job}\trunning\tcompute_something\tworker-group\t{member}\t1" in table
        assert all("net::ERR" in one for one in page.errors), page.errors


def test_top_goes_on_at_the_other_steward(fleet: Fleet) -> None:
    first, other = two_stewards(fleet)
    members = {one["pid"] for one in holders(fleet.server).values()}
    ours, theirs = pty.openpty()
    asked = ("--server", fleet.server.url, "--steward", first.url, "--interval", "0.1")
    env = clean_env({"TERM": "xterm", "COLUMNS": "140", "LINES": "40"})
    with subprocess.Popen(
        [*room_command("fleet"), "top", *asked], stdin=theirs, stdout=theirs, stderr=theirs, env=env
    ) as top:
        read_until(ours, f"{first.name}, ")
        first.process.kill()
        read_until(ours, f"{other.name}, ")
        read_until(ours, *members, *JOBS)
        idle = fleet.worker("late", WORKER_STEWARD=other.presence)
        read_until(ours, fleet.member(idle), "idle")  # without a steward nobody knows of it
        os.write(ours, b"q")
        assert top.wait(30) == 0
    os.close(theirs)
    os.close(ours)


def read_until(terminal: int, *words: str) -> str:
    """Read what a terminal is shown from now on until all of `words` were in it."""
    shown = ""
    while not all(one in shown for one in words):
        shown += os.read(terminal, 65536).decode(errors="replace")
    return shown

"""Cancel against completion in the same instant: one outcome, and everybody tells the same."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from resonate_fleet.contract.jobacts import OverAlready, cancel
from resonate_fleet.contract.journal import Claimed, Ended
from resonate_fleet.contract.wire import Wire
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.processes import run_room
from tests.support.recovery import steward_address
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.long]
JOBS, AT_ONCE = 1000, 8
FUNCTIONS = """
import asyncio
import time


def plain(ctx, id, seconds):
    time.sleep(seconds)


async def waits(ctx, id, seconds):
    await asyncio.sleep(seconds)


def register(registry):
    registry.register(plain)
    registry.register(waits)
"""


class Race:
    """Cancels each job about when it ends: later after one that was cancelled, else earlier."""

    def __init__(self, fleet: Fleet, pages: str) -> None:
        self.fleet = fleet
        self.pages = pages
        self.told: dict[str, str] = {}
        self._delay = 0.03

    async def run(self) -> None:
        numbers = iter(range(JOBS))
        async with Wire(self.fleet.server.url, timeout=30) as wire:
            await asyncio.gather(*(self._some(wire, numbers) for _ in range(AT_ONCE)))

    async def _some(self, wire: Wire, numbers: Any) -> None:
        for number in numbers:
            function = ("plain", "waits")[number % 2]
            job = await asyncio.to_thread(post_job, self.fleet.server, function, 0.02)
            await asyncio.sleep(self._delay)
            try:
                await cancel(wire, job, "by the test")
                self.told[job] = "cancelled"
                self._delay += 0.001
                await asyncio.to_thread(self.page, "settled", {"jobs": [job]})
            except OverAlready as over:
                self.told[job] = over.line.state
                self._delay = max(0.0, self._delay - 0.001)

    def page(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.pages}/{path}", data=data), timeout=10) as answer:  # noqa: S310 - this test's steward
            return json.loads(answer.read())


def test_cancel_and_completion_in_one_instant(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "racing.py").write_text(FUNCTIONS)
    steward = fleet.steward()
    race = Race(fleet, f"http://127.0.0.1:{steward.line('steward.started')['port']}")
    fleet.worker(
        "w",
        WORKER_STEWARD=steward_address(steward),
        WORKER_SLOTS="16",
        WORKER_FUNCTIONS="racing",
        PYTHONPATH=str(tmp_path),
    )
    asyncio.run(race.run())
    claimed = {line.job for line in fleet.journal_of(Claimed)}
    wait_until(
        lambda: {line.job for line in fleet.journal_of(Ended)} == claimed, 20, "no body runs"
    )
    assert Counter(race.told.values()).keys() == {"done", "cancelled"}, "both won, some of the time"
    states = {"resolved": "done", "rejected_canceled": "cancelled"}
    server = {job: states[(fleet.server.promise(job) or {})["state"]] for job in race.told}
    assert server == race.told
    ends = [(line.job, line.outcome) for line in fleet.journal_of(Ended)]
    assert len(ends) == len(set(dict(ends))), "one outcome each"
    outcomes = {job: {"resolved": "done"}.get(outcome, outcome) for job, outcome in ends}
    assert outcomes == {job: race.told[job] for job in claimed}
    wait_until(lambda: not race.page("jobs?state=running")["jobs"], 20, "the steward has heard it")
    listed = {one["id"]: one["state"] for one in race.page("jobs?limit=5000")["jobs"]}
    assert listed == outcomes
    for job in list(race.told)[-20:]:
        assert race.page(f"job/{job}")["state"] == race.told[job]
    where = ("--server", fleet.server.url, "--steward", race.pages)
    shown = run_room("fleet", "job", job, "--json", *where)
    assert json.loads(shown.stdout)["state"] == race.told[job]

"""The page on a bad day: a dead line, a slow one, odd times; what is done from it then."""

import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resonate_fleet.contract.jobs import JobPage
from resonate_fleet.contract.live import LiveParked
from resonate_fleet.steward.console import Console, ConsoleOptions, Refusal
from tests.support.browser import browser
from tests.support.played import Played, at_work
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until_async
from tests.system.test_console_page import Scene, endpoints, opened

pytestmark = pytest.mark.browser

STREAM = "document.documentElement.dataset.stream"
ROWS = "document.querySelectorAll('#job-rows tr').length"
#: Whatever waits for seconds waits for a tenth of them.
HURRY = """
for (const name of ["setTimeout", "setInterval"]) {
  const wait = window[name];
  window[name] = (what, ms) => wait(what, ms >= 1000 ? ms / 10 : ms);
}
"""
HUGE = 9007199254740.991  # the largest timeout of a promise, in seconds


class Hush(Proxy):
    """A proxy that can fall silent: what was open stays open, and says nothing any more."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._muted = threading.Event()

    def mute(self) -> None:
        """Let no connection of now say anything more; new ones may."""
        self._muted.set()
        self._muted = threading.Event()

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        muted = self._muted
        with suppress(OSError):
            while chunk := source.recv(65536):
                if not muted.is_set():
                    sink.sendall(chunk)


async def test_a_line_that_died_without_a_word_is_opened_anew(tmp_path: Path) -> None:
    """A laptop slept, a router forgot the connection: no error comes."""
    fleet = at_work(2)
    async with opened(tmp_path, fleet) as scene:
        await scene.page.call("Page.addScriptToEvaluateOnNewDocument", source=HURRY)
        with Hush(scene.url) as proxy:
            await scene.page.open(f"{proxy.url}/")
            await scene.until(f"{STREAM} === 'live'", "it is live")
            proxy.mute()
            fleet.step(5.0)
            await scene.until(f"{STREAM} === 'lost'", "it says that nothing comes")
            await scene.until(f"app.model.at >= {fleet.at} && {STREAM} === 'live'", "it goes on")


async def test_figures_go_on_when_the_steward_puts_its_clock_right(tmp_path: Path) -> None:
    fleet = Played(2, 1, time.time() + 3600.0, cost=0.2)
    async with opened(tmp_path, fleet) as scene:
        await scene.until("app.model.at > 0", "it is live")
        fleet.at -= 3600.0
        for _ in range(20):
            fleet.submit(10)
            fleet.step(0.5)
            await scene.until(f"Math.abs(app.model.at - {fleet.at}) < 0.01", "it is told")
        assert await scene.asks("app.model.rate") > 0
        assert await scene.asks("app.model.curves.waiting.length") > 5


async def test_on_a_slow_network_lists_come_late_but_come(tmp_path: Path) -> None:
    """An answer that takes longer than the time between two questions is shown."""
    async with opened(tmp_path, at_work(3)) as scene:
        await scene.page.call("Page.addScriptToEvaluateOnNewDocument", source=HURRY)
        await scene.page.open(f"{scene.url}?slow")
        await scene.page.call(
            "Network.emulateNetworkConditions",
            offline=False, latency=1000, downloadThroughput=-1, uploadThroughput=-1,
        )  # fmt: skip
        await scene.page.value("location.hash = '#/jobs'")
        await scene.until(f"{ROWS} === 3", "all are listed")


async def test_a_time_beyond_all_days_is_no_time(tmp_path: Path) -> None:
    fleet = at_work(1)

    async def job(given: Mapping[str, str]) -> Any:
        return JobPage(id=given["id"], state="running", created=1e9, timeout=HUGE)

    served = replace(endpoints(fleet, []), asks={"job/{id:.+}": job})
    async with browser(tmp_path) as page:
        with Console(("127.0.0.1", 0), ConsoleOptions(token="x"), served) as console:
            scene = Scene(page, fleet, console.port)
            await page.open(f"{scene.url}#/job/long")
            await scene.until("document.querySelector('.facts') !== null", "it is shown")
            said = await page.value("document.querySelector('.facts').innerText")
            assert "time limit\n–" in said.replace("\n\n", "\n")  # noqa: RUF001
            assert "2001" in said, "another year is named"


async def test_a_dialog_goes_with_what_it_was_about(tmp_path: Path) -> None:
    async with opened(tmp_path, at_work(1)) as scene:
        page = scene.page
        await page.value("location.hash = '#/jobs'")
        await page.value("location.hash = '#/job/order-01-1'")
        await scene.until("document.querySelector('button.act') !== null", "it is shown")
        await page.value("document.querySelector('button.act').click()")
        assert await page.value("document.getElementById('dialog').open")
        await page.value("history.back()")
        await scene.until("location.hash === '#/jobs'", "it is left")
        await scene.until("!document.getElementById('dialog').open", "the dialog too")
        assert scene.acted == []


async def give(scene: Scene, button: str) -> None:
    """Click a button of an act, and give the token."""
    await scene.page.value(f"document.querySelector({button!r}).click()")
    await scene.page.value(
        "document.getElementById('token').value = 'open-sesame';"
        "document.querySelector('#dialog .strong').click()"
    )
    await scene.until("!document.getElementById('dialog').open", "it is done")


async def test_what_is_parked_is_acted_on_one_by_one_or_all_at_once(tmp_path: Path) -> None:
    """A child that is a task of its own is parked by itself."""
    fleet = at_work(1)
    fleet.parked = [LiveParked(task=f"bad:{n}", job="bad", attempt=3) for n in range(300)]
    async with opened(tmp_path, fleet) as scene:
        page = scene.page
        await page.value("location.hash = '#/quarantine'")
        await scene.until("document.querySelectorAll('#parked-rows tr').length === 300", "all")
        await give(scene, "#parked-rows tr:nth-child(2) .redrive")
        assert scene.acted == [("redrive", ["bad:1"])]
        del fleet.parked[1]
        words = "document.querySelector('#parked-acts .reject').textContent"
        fleet.parked = [*fleet.parked]
        await scene.until(f"{words} === 'Reject all 299'", "one has gone")
        seen = await scene.asks("app.model.at")
        await page.value("row = document.querySelector('#parked-rows tr'); row.title = 'as it was'")
        fleet.step(1.0)
        await scene.until(f"app.model.at > {seen}", "more was heard")
        assert await page.value("row.title") == "as it was", "nothing is drawn anew for it"
        await give(scene, "#parked-acts .reject")
        assert scene.acted[1:] == [("reject", [one.task for one in fleet.parked])]


async def test_jobs_of_one_state_are_acted_on_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path, at_work(3)) as scene:
        page = scene.page
        await page.value("location.hash = '#/jobs'")
        await scene.until(f"{ROWS} === 3", "all are listed")
        assert await page.count("#jobs-acts button") == 0, "of any state"
        await page.value("location.hash = '#/jobs?state=running'")
        await scene.until("document.querySelector('#jobs-acts .cancel') !== null", "it may be")
        await give(scene, "#jobs-acts .cancel")
        [(act, jobs)] = scene.acted
        assert (act, sorted(jobs)) == ("cancel", ["order-01-1", "order-01-2", "order-01-3"])


async def test_the_picture_can_be_held_still(tmp_path: Path) -> None:
    fleet = at_work(2)
    async with opened(tmp_path, fleet) as scene:
        await scene.until("app.now.lanes.to > 1", "it is drawn")
        await scene.page.value("document.getElementById('pause').click()")
        held = await scene.asks("app.now.lanes.to")
        for going_on in (False, True):
            fleet.step(1.0)
            await scene.until(f"app.model.at >= {fleet.at} && !app.now.stale", "it is told")
            assert await scene.asks("app.now.lanes.to") == held
            if not going_on:
                continue
            await scene.page.value("document.getElementById('pause').click()")
            await scene.until(f"app.now.lanes.to > {held}", "it goes on")


async def test_who_wants_no_motion_sees_it_step_once_a_second(tmp_path: Path) -> None:
    fleet = at_work(2)
    async with opened(tmp_path, fleet) as scene:
        still = [{"name": "prefers-reduced-motion", "value": "reduce"}]
        await scene.page.call("Emulation.setEmulatedMedia", features=still)
        await scene.until("app.now.lanes.to > 1", "it is drawn")
        drawn, seconds = await scene.asks(
            """new Promise((tell) => {
              const { lanes } = app.now, draw = lanes.draw, began = performance.now();
              let drawn = 0;
              lanes.draw = (...when) => {
                drawn += 1;
                draw.apply(lanes, when);
                const seconds = (performance.now() - began) / 1000;
                if (seconds > 2) tell([drawn, seconds]);
              };
            })"""
        )
        assert drawn <= seconds + 1


async def test_an_id_is_copied_and_members_lead_to_their_jobs(tmp_path: Path) -> None:
    async with opened(tmp_path, at_work(3)) as scene:
        page = scene.page
        await scene.until("document.querySelectorAll('#members a').length === 3", "all are there")
        await page.value("document.querySelectorAll('#members a')[1].click()")
        await scene.until("location.hash === '#/jobs?member=worker-2'", "it leads to its jobs")
        await page.value("location.hash = '#/job/order-01-1'")
        await scene.until("document.querySelector('.tools button') !== null", "it is shown")
        await page.value("document.querySelector('.tools button').click()")
        assert await page.value("getSelection().toString().trim()") == "order-01-1"
        assert await page.value("document.getElementById('announcer').textContent") in (
            "copied", "selected",
        )  # fmt: skip


async def test_a_failure_that_lasts_is_said_once(tmp_path: Path) -> None:
    """A screen reader reads each new alert aloud."""
    fleet, asked = at_work(1), list[str]()

    async def job(given: Mapping[str, str]) -> Any:
        asked.append(given["id"])
        raise Refusal(502, "the server is away")

    served = replace(endpoints(fleet, []), asks={"job/{id:.+}": job})
    async with browser(tmp_path) as page:
        with Console(("127.0.0.1", 0), ConsoleOptions(), served) as console:
            scene = Scene(page, fleet, console.port)
            await page.call("Page.addScriptToEvaluateOnNewDocument", source=HURRY)
            await page.open(f"{scene.url}#/job/a")
            await scene.until("document.querySelector('[role=alert]') !== null", "it says so")
            await page.value("first = document.querySelector('[role=alert]')")
            seen = len(asked)
            await wait_until_async(lambda: len(asked) > seen + 2, 60, "it is asked again")
            assert await page.value("first.isConnected") is True
            assert await page.value("first.textContent") == "the server is away"


@pytest.mark.parametrize("width", [320, 400])
async def test_on_a_telephone_every_act_is_in_sight(tmp_path: Path, width: int) -> None:
    fleet = at_work(1)
    fleet.parked = [LiveParked(task=f"bad-{n}", job=f"bad-{n}", attempt=3) for n in range(2)]
    async with opened(tmp_path, fleet) as scene:
        await scene.page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=640, deviceScaleFactor=1, mobile=True,
        )  # fmt: skip
        await scene.page.value("location.hash = '#/quarantine'")
        await scene.until("document.querySelectorAll('#parked-rows tr').length === 2", "both")
        right = (
            "Math.max(...[...document.querySelectorAll('button.act')]"
            ".map((one) => one.getBoundingClientRect().right))"
        )
        assert await scene.page.value(right) <= width

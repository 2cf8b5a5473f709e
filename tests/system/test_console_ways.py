"""The page by its addresses: deep, mistyped, forth and back; narrow ones; acts done once."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from resonate_fleet.contract.live import LiveAttempt, LiveParked
from resonate_fleet.steward.console import Console, ConsoleOptions
from tests.support.browser import browser
from tests.support.played import Played, at_work
from tests.system.test_console_page import Scene, endpoints, opened

pytestmark = pytest.mark.browser

#: Says how far the page is wider than its window.
WIDER = "document.documentElement.scrollWidth - innerWidth"
SHOWN = "document.querySelector('main > section:not([hidden])').id"
LONG = "x" * 200


async def test_what_the_viewer_chose_outlives_a_reload(tmp_path: Path) -> None:
    async with opened(tmp_path, at_work(1)) as scene:
        page = scene.page
        assert await scene.asks("app.now.window") == 60
        await page.value(
            "(() => { const select = document.getElementById('window'); select.value = '300';"
            "select.dispatchEvent(new Event('change')); })()"
        )
        await page.value("document.getElementById('theme').click()")
        theme = await page.value("document.documentElement.dataset.theme")
        await page.open(f"{scene.url}?again")
        assert await page.value("document.getElementById('window').value") == "300"
        assert await scene.asks("app.now.window") == 300
        assert await page.value("document.documentElement.dataset.theme") == theme == "dark"


async def test_addresses_that_lead_nowhere(tmp_path: Path) -> None:
    async with opened(tmp_path, at_work(1)) as scene:
        page = scene.page
        for wrong in ("#/wat", "#/", "#now", "#/NOW"):
            await page.value(f"location.hash = {wrong!r}")
            await scene.until("location.hash === '#/now'", f"{wrong} leads to what happens now")
            assert await page.value(SHOWN) == "view-now"
        await page.value("location.hash = '#/job/%E0%A4%A'")
        await scene.until("document.querySelector('#view-job h1') !== null", "it is asked for")
        assert await page.value("document.querySelector('#view-job h1').innerText") == "%E0%A4%A"


async def test_a_job_by_its_address_is_followed(tmp_path: Path) -> None:
    """It can be acted on, whatever comes first, job or stream; its end is seen."""
    fleet = at_work(1)
    async with opened(tmp_path, fleet) as scene:
        page = scene.page
        await page.open(f"{scene.url}?deep#/job/order-01-1")
        await scene.until("document.querySelectorAll('button.act').length === 1", "it has its act")
        assert await page.value("document.title") == "order-01-1 · fleet"
        asked = len([url for url in page.asked if "/job/order" in url])
        fleet.step(200.0)
        await scene.until("[...app.model.bars.values()][0].end !== null", "it has ended")
        await scene.until("document.title === 'order-01-1 · fleet'", "it is still shown")
        assert len([url for url in page.asked if "/job/order" in url]) > asked


async def test_an_act_is_done_once_however_often_it_is_clicked(tmp_path: Path) -> None:
    async with opened(tmp_path, at_work(1)) as scene:
        page = scene.page
        await page.value("location.hash = '#/job/order-01-1'")
        await scene.until("document.querySelectorAll('button.act').length === 1", "it is there")
        await page.value(
            "document.querySelector('button.act').click();"
            "document.getElementById('token').value = 'open-sesame';"
            "document.querySelector('.strong').click(); document.querySelector('.strong').click()"
        )
        await scene.until("!document.getElementById('dialog').open", "it is done")
        assert scene.acted == [("rerun", ["order-01-1"])]


async def test_a_filter_is_in_the_address_and_no_step_back(tmp_path: Path) -> None:
    async with opened(tmp_path, at_work(3)) as scene:
        page = scene.page
        await page.value("location.hash = '#/jobs'")
        await scene.until("document.querySelectorAll('#job-rows tr').length === 3", "all are there")
        before = await page.value("history.length")
        for text in ("o", "order-01-2"):
            await page.value(
                "(() => { const field = document.getElementById('filters').elements.search;"
                f"field.value = {text!r};"
                "field.dispatchEvent(new Event('input', {bubbles: true})); })()"
            )
            await scene.until(f"location.hash.endsWith('search={text}')", "the address has it")
        await scene.until("document.querySelectorAll('#job-rows tr').length === 1", "one is found")
        assert await page.value("history.length") == before
        groups = "[...document.querySelectorAll('#known-groups option')].map((one) => one.value)"
        assert await page.value(groups) == ["worker-group"]


async def test_long_names_make_no_page_wider_than_its_window(tmp_path: Path) -> None:
    fleet = Played(2, 1, time.time(), cost=60.0)
    fleet.waiting = [(LONG, 0), ("short", 0)]
    fleet.members = {
        f"{'m' * 58}-{name}": one.__class__(
            member=f"{'m' * 58}-{name}", group="g" * 63, slots=1, free=1, since=fleet.at
        )
        for name, one in fleet.members.items()
    }
    fleet.step(0.1)
    fleet.parked.append(LiveParked(task=LONG, job=LONG, attempt=4, members=[*fleet.members] * 2))

    async def job(given: Mapping[str, str]) -> Any:
        tags = {"resonate:origin": LONG, LONG: LONG[1:]}
        attempt = {"attempt": 1, "member": "m" * 60, "since": 1.0, "ended": 2.0, "outcome": "lost"}
        return {
            "id": given["id"], "state": "done", "function": LONG, "created": 1.0, "ended": 2.0,
            "tags": tags, "args": [], "kwargs": {LONG: LONG}, "result": LONG,
            "attempts": [attempt], "children": [{"id": f"{LONG}:1", "state": "done"}],
        }  # fmt: skip

    async def schedules(_: Mapping[str, str]) -> Any:
        return {"schedules": [{"id": LONG, "cron": "* * * * *", "function": LONG, "next": 1.0}]}

    served = endpoints(fleet, [])
    served = replace(served, asks={**served.asks, "job/{id:.+}": job, "schedules": schedules})
    async with browser(tmp_path) as page:
        with Console(("127.0.0.1", 0), ConsoleOptions(token="x"), served) as console:
            scene = Scene(page, fleet, console.port)
            for width in (320, 768, 1280):
                await page.call(
                    "Emulation.setDeviceMetricsOverride",
                    width=width, height=900, deviceScaleFactor=1, mobile=False,
                )  # fmt: skip
                for view, there in {
                    "now": "#members tr",
                    "jobs": "#job-rows tr",
                    f"job/{LONG}": ".facts",
                    "quarantine": "#parked-rows tr",
                    "schedules": "#schedule-rows tr",
                }.items():
                    await page.open(f"{scene.url}?{len(view)}-{width}#/{view}")
                    await scene.until(f"document.querySelector({there!r}) !== null", view)
                    assert await page.value(WIDER) <= 0, (view, width)
        assert page.errors == []


async def test_lanes_go_when_their_members_scroll_out(tmp_path: Path) -> None:
    """Those of the dead are kept for who looks further back; a late end opens no second row."""
    fleet = at_work(3)
    before = fleet.at - 100.0
    fleet.members["worker-0"] = fleet.members["worker-1"].__class__(
        member="worker-0", group="worker-group", slots=1, free=0, since=before - 100.0,
        state="dead", until=before,
    )  # fmt: skip
    for number, (since, ended) in enumerate([(-50.0, -40.0), (-40.3, -20.0)]):
        fleet.ended.append(
            LiveAttempt(
                task=f"early-{number}", job=f"early-{number}", attempt=1, function="f",
                group="worker-group", member="worker-0", since=before + since,
                ended=before + ended, outcome="resolved",
            )
        )  # fmt: skip
    async with opened(tmp_path, fleet) as scene:
        await scene.until("app.model.lanes.size === 4", "all are known")
        names = "app.now.lanes.model.lanes.map((lane) => lane.name).join()"
        await scene.until(f"{names} === 'worker-1,worker-2,worker-3'", "it has scrolled out")
        await scene.page.value(
            "(() => { const select = document.getElementById('window'); select.value = '300';"
            "select.dispatchEvent(new Event('change')); })()"
        )
        await scene.until(f"{names}.startsWith('worker-0,')", "further back it is there")
        assert await scene.asks("app.now.lanes.model.lanes.map((lane) => lane.rows)") == [1] * 4
        table = await scene.page.value("document.getElementById('members').innerText")
        assert "dead" in table
        assert "0 / 1" not in table


async def test_a_member_that_came_late_does_not_count_as_idle(tmp_path: Path) -> None:
    """The balance compares what members made of their own time; what still runs counts."""
    fleet = at_work(2)
    for name, since, busy in (("worker-1", 1000.0, 891.0), ("worker-2", 10.0, 0.0)):
        member = fleet.members[name]
        fleet.members[name] = msgspec.structs.replace(member, since=fleet.at - since, busy=busy)
    for task, one in fleet.running.items():
        fleet.running[task] = msgspec.structs.replace(one, since=fleet.at - 9.0)
    async with opened(tmp_path, fleet) as scene:
        await scene.until("app.model.lanes.size === 2", "both are known")
        await scene.until("document.getElementById('balance').textContent === '100 %'", "as busy")

"""The report in a real browser: everything is drawn, nothing is asked of any network."""

import base64
import os
import re
import time
from pathlib import Path

import pytest

from resonate_fleet.contract.journal import (
    Claimed,
    HandedOver,
    LeaseLost,
    MemberStarted,
    Parked,
    StrikeDone,
)
from resonate_fleet.report.__main__ import main
from tests.support.browser import Page, browser
from tests.support.runs import Blow, Run, play
from tests.support.sabotage import SABOTAGES

pytestmark = pytest.mark.browser

BLOWS = [Blow("kill", 6, 0.6), Blow("terminate", 11), Blow("pause", 15, seconds=3.0)]


@pytest.fixture
def run() -> Run:
    return play(BLOWS, jobs=40, seed=11, slots=2, lease=2.0)


def write(run: Run, root: Path) -> str:
    folder = run.write(root / "run")
    assert main([str(folder.root)]) == 0
    return folder.report.as_uri()


async def test_the_page_in_a_browser(run: Run, tmp_path: Path) -> None:
    """One browser for all of it: starting one costs more than everything that is looked at."""
    url = write(run, tmp_path)
    async with browser(tmp_path) as page:
        await page.open(url)
        await everything_is_there(page, run)
        await bars_stand_where_the_journals_say(page)
        await pointing_tells_the_story(page)
        await dragging_looks_closer_and_back(page)
        await print_and_dark(page)
        assert page.errors == []
        assert page.asked == [url]


async def everything_is_there(page: Page, run: Run) -> None:
    lines = [line for written in run.journals.values() for line in written]
    assert await page.count(".lane") == sum(isinstance(one, MemberStarted) for one in lines)
    assert await page.count(".bar[data-i]") == sum(isinstance(one, Claimed) for one in lines)
    assert await page.count(".strike") == sum(isinstance(one, StrikeDone) for one in lines) == 3
    handed_over = sum(isinstance(one, HandedOver) for one in lines)
    assert await page.count("#lanes .mark.handed-over") == handed_over > 0
    assert await page.count("#lanes .bar.cut") == handed_over
    lost = sum(isinstance(one, LeaseLost) for one in lines)
    assert await page.count("#lanes .mark.lapsed") == lost > 0
    assert await page.count("#lanes .bar.lost") == lost
    assert await page.count("#lanes .frozen") == 1
    assert await page.count("#recovery .band") == await page.count("#recovery .dot") == 2
    assert "PASS" in await page.value("document.querySelector('.stamp').textContent")


async def bars_stand_where_the_journals_say(page: Page) -> None:
    drawn, due = await page.value(
        "[...document.querySelectorAll('.bar[data-i]')].slice(0, 20).reduce((s, e) => {"
        "const b = run.bars[e.dataset.i]; const w = e.getBBox().width;"
        "return [s[0] + w, s[1] + x(b[3]) - x(b[2])]; }, [0, 0])"
    )
    assert drawn == pytest.approx(due, rel=0.01)
    assert await page.value("run.bars.every((b) => b[3] >= b[2] && b[2] >= 0)")


async def pointing_tells_the_story(page: Page) -> None:
    await page.point("#lanes .bar.cut")
    story = await page.value("document.getElementById('tip').textContent")
    assert "taken up after" in story
    assert "handed over by the steward" in story
    assert await page.count(".bar.mine") == 2
    await page.point(".strike circle")
    assert "strike 0: kill" in await page.value("document.getElementById('tip').textContent")


async def dragging_looks_closer_and_back(page: Page) -> None:
    whole = await page.value("view.to")
    left, right, y = await page.value(
        "(() => { const b = document.querySelector('#lanes svg').getBoundingClientRect();"
        "return [b.x + b.width * 0.3, b.x + b.width * 0.5, b.y + 60]; })()"
    )
    await page.mouse("mousePressed", left, y, 1)
    await page.mouse("mouseMoved", right, y, 1)
    await page.mouse("mouseReleased", right, y, 1)
    assert 0.1 * whole < await page.value("view.to - view.from") < 0.4 * whole
    await page.value("document.getElementById('back').click()")
    assert await page.value("view.to - view.from") == whole


async def print_and_dark(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    await page.value("document.getElementById('theme').click()")
    assert await page.value(background) == "rgb(20, 22, 26)"
    printed = await page.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
    pages = re.findall(rb"/Type\s*/Page\b", base64.b64decode(printed["data"]))
    assert len(pages) == 2, "verdict, lanes and figures; then tables and stories"
    assert await page.value("printed") is None
    await page.call("Emulation.setEmulatedMedia", media="print")
    assert await page.value(background) == "rgb(255, 255, 255)"
    shown = "getComputedStyle(document.getElementById('theme')).display"
    assert await page.value(shown) == "none"


async def test_on_a_telephone_nothing_is_wider_than_the_screen(run: Run, tmp_path: Path) -> None:
    url = write(run, tmp_path)
    async with browser(tmp_path) as page:
        size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        await page.call("Emulation.setDeviceMetricsOverride", **size)
        await page.open(url)
        assert await page.value("document.documentElement.scrollWidth") <= 390
        for part in (".strikes", ".banner", ".lanes-card"):
            wide = f"document.querySelector('{part}').scrollWidth"
            assert await page.value(wide) <= 390, part


async def test_a_parked_job_is_shown(tmp_path: Path) -> None:
    spoiled = play(jobs=20)
    SABOTAGES["a_job_is_parked"][0](spoiled)
    job = next(one.job for one in spoiled.journals["steward"] if isinstance(one, Parked))
    folder = spoiled.write(tmp_path / "run")
    main([str(folder.root)])
    async with browser(tmp_path) as page:
        await page.open(folder.report.as_uri())
        assert await page.count("#lanes .parking") == 1
        assert job in await page.value("document.querySelector('.parked').textContent")
        assert "after 4 crashes" in await page.value("story(run.parked[0].job)")
        assert page.errors == []


async def test_ten_thousand_attempts_in_three_seconds(tmp_path: Path) -> None:
    """From the address to the painted picture.

    On a machine that is busy with other things the wall's clock tells nothing of the page; there
    the computing time of the browser's main thread alone is judged.
    """
    run = play([Blow("kill", 700), Blow("kill", 5000)], jobs=10_000, seed=4, members=20, slots=2)
    url = write(run, tmp_path)
    async with browser(tmp_path) as page:
        await page.call("Performance.enable", timeDomain="threadTicks")
        began = time.monotonic()
        await page.open(url)
        painted = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        await page.call("Runtime.evaluate", expression=painted, awaitPromise=True)
        wall = time.monotonic() - began
        assert await page.count(".bar[data-i]") >= 10_000
        metrics = (await page.call("Performance.getMetrics"))["metrics"]
        computing = next(one["value"] for one in metrics if one["name"] == "TaskDuration")
        assert 0.01 < computing < 3.0
        busy = os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
        assert wall < 3.0 or busy, f"{wall:.2f} s, {computing:.2f} s of them computing"
        assert page.errors == []

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
        await bars_stand_where_the_journals_say(page, run)
        await pointing_tells_the_story(page)
        await dragging_looks_closer_and_back(page)
        await the_story_stays_in_the_window(page)
        await print_and_dark(page)
        assert page.errors == []
        assert page.asked == [url]


async def everything_is_there(page: Page, run: Run) -> None:
    lines = [line for written in run.journals.values() for line in written]

    def journalled(kind: type) -> int:
        return sum(isinstance(one, kind) for one in lines)

    async def drawn(what: str) -> int:
        return int(await page.value(f"lanes.model.{what}.length"))

    assert await drawn("lanes") == journalled(MemberStarted)
    assert await drawn("bars") == journalled(Claimed)
    assert await drawn("marks.filter((one) => one.kind in FAULTS)") == journalled(StrikeDone) == 3
    assert await drawn("links.filter((one) => one.way === 'handed-over')") == journalled(HandedOver)
    assert await drawn("bars.filter((one) => one.outcome === 'cut')") == journalled(HandedOver) > 0
    assert await drawn("links.filter((one) => one.way === 'lapsed')") == journalled(LeaseLost)
    assert await drawn("bars.filter((one) => one.outcome === 'lost')") == journalled(LeaseLost) > 0
    assert await drawn("lanes.filter((one) => one.frozen.length)") == 1
    assert await page.count("#recovery .band") == await page.count("#recovery .dot") == 2
    assert "PASS" in await page.value("document.querySelector('.stamp').textContent")


async def bars_stand_where_the_journals_say(page: Page, run: Run) -> None:
    """The picture at the middle of a bar has the bar's colour; its ends are the journal's times."""
    lines = [line for written in run.journals.values() for line in written]
    claims = sorted(one.at for one in lines if isinstance(one, Claimed))
    begins = await page.value("lanes.model.bars.map((b) => b.begin).sort((a, b) => a - b)")
    assert begins == pytest.approx([at - claims[0] + begins[0] for at in claims], abs=0.002)
    places = "lanes.model.bars.map((b) => [lanes.place(b)[0], lanes.x(b.begin)])"
    assert all(x == pytest.approx(due, abs=0.01) for x, due in await page.value(places))
    assert await page.value(
        "(() => { const { canvas, model } = lanes, { width, height } = canvas;"
        "const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);"
        "const hex = (n) => n.toString(16).padStart(2, '0');"
        "return model.bars.filter((b) => b.outcome === 'again').every((b) => {"
        "const [x, y, w, h] = lanes.place(b);"
        "const at = 4 * (Math.round(y + h / 3) * width + Math.round(x + w / 2));"
        "return `#${[...data.slice(at, at + 3)].map(hex).join('')}` === lanes.colours['--green'];"
        "}); })()"
    )


async def pointing_tells_the_story(page: Page) -> None:
    x, y = await page.value(
        "(() => { const b = lanes.model.bars.find((one) => one.outcome === 'cut');"
        "const [x, y] = lanes.place(b), box = lanes.canvas.getBoundingClientRect();"
        "return [box.x + x + 2, box.y + y + 3]; })()"
    )
    await page.mouse("mouseMoved", x, y)
    story = await page.value("document.getElementById('pointed').innerText")
    assert "taken up after" in story
    assert "handed over by the steward" in story
    await page.value("document.querySelector('#lanes canvas').focus()")
    before = await page.value("lanes.chosen.begin")
    for key in ("ArrowDown", "ArrowLeft"):
        await page.call("Input.dispatchKeyEvent", type="keyDown", key=key)
    assert await page.value("lanes.chosen.begin") != before


async def the_story_stays_in_the_window(page: Page) -> None:
    """Wherever its bar is."""
    outside = await page.value(
        "lanes.model.bars.filter((bar) => { scrollTo(0, 0);"
        "const box = lanes.canvas.getBoundingClientRect(), [, y] = lanes.place(bar);"
        "scrollTo(0, box.top + y + 60 - innerHeight); tell(bar);"
        "const tip = byId('pointed').getBoundingClientRect(); tell(null);"
        "return tip.height === 0 || tip.top < 0 || tip.bottom > innerHeight; }).length"
    )
    assert outside == 0


async def dragging_looks_closer_and_back(page: Page) -> None:
    whole = await page.value("lanes.to")
    left, right, y = await page.value(
        "(() => { const b = lanes.canvas.getBoundingClientRect();"
        "return [b.x + b.width * 0.3, b.x + b.width * 0.5, b.y + 60]; })()"
    )
    await page.mouse("mousePressed", left, y, 1)
    await page.mouse("mouseMoved", right, y, 1)
    await page.mouse("mouseReleased", right, y, 1)
    assert 0.1 * whole < await page.value("lanes.to - lanes.from") < 0.4 * whole
    await page.value("document.getElementById('back').click()")
    assert await page.value("lanes.to - lanes.from") == whole


async def print_and_dark(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    await page.value("document.getElementById('theme').click()")
    assert await page.value(background) == "rgb(20, 22, 26)"
    await page.value(
        "addEventListener('beforeprint', () => { printed = lanes.colours['--card']; })"
    )
    shot = await page.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
    pages = re.findall(rb"/Type\s*/Page\b", base64.b64decode(shot["data"]))
    assert len(pages) == 2, "verdict, lanes and figures; then tables and stories"
    assert await page.value("printed") == "#ffffff", "paper is light"
    assert await page.value("lanes.paper") is None
    assert await page.value(background) == "rgb(20, 22, 26)"
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
        parked = "lanes.model.marks.filter((one) => one.kind === 'parked').length"
        assert await page.value(parked) == 1
        assert job in await page.value("document.querySelector('.parked').textContent")
        assert "after 4 crashes" in await page.value(
            "story(run.parked[0].job).map((one) => one.textContent ?? one).join('')"
        )
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
        assert await page.value("lanes.model.bars.length") >= 10_000
        metrics = (await page.call("Performance.getMetrics"))["metrics"]
        computing = next(one["value"] for one in metrics if one["name"] == "TaskDuration")
        assert 0.01 < computing < 3.0
        busy = os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
        assert wall < 3.0 or busy, f"{wall:.2f} s, {computing:.2f} s of them computing"
        assert page.errors == []

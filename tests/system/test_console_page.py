"""The console's page in a real browser, over a fleet that is played."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from resonate_fleet.contract.jobs import COLUMNS, JobLine, JobList
from resonate_fleet.steward.console import Act, Console, ConsoleOptions, Endpoints
from resonate_fleet.steward.live import Feed
from tests.support.browser import Page, browser
from tests.support.console import Watched
from tests.support.played import Played, at_work
from tests.support.services import npm_package

pytestmark = [pytest.mark.browser, pytest.mark.node]

HOSTILE = "<img src=x onerror=alert(1)>\u202e</script>"


class Scene(Watched):
    def __init__(self, page: Page, fleet: Played, port: int) -> None:
        super().__init__(page)
        self.fleet = fleet
        self.url = f"http://127.0.0.1:{port}/"
        self.acted: list[tuple[str, list[str]]] = []


def endpoints(fleet: Played, scene: "list[Scene]") -> Endpoints:
    async def jobs(given: Mapping[str, str]) -> Any:
        found = [
            JobLine(id=one.job, state="running", function=one.function, reason=HOSTILE)
            for one in fleet.running.values()
            if given.get("search", "") in one.job
        ]
        return JobList(jobs=found)

    async def job(given: Mapping[str, str]) -> Any:
        return {
            "id": given["id"], "state": "failed", "function": HOSTILE, "created": 1.0, "ended": 2.0,
            "args": [HOSTILE], "error": HOSTILE, "attempts": [], "children": [],
        }  # fmt: skip

    def act(name: str) -> Act:
        async def do(asked: list[str], _: str) -> Any:
            scene[0].acted.append((name, asked))
            return {}

        return do

    extras = {"acts": True, "kill": False, "peers": []}
    asks = {"jobs": jobs, "job/{id:.+}": job}
    acts = {name: act(name) for name in ("cancel", "rerun", "redrive", "reject")}
    return Endpoints(Feed(fleet.state, extras), {}, asks, acts)


@asynccontextmanager
async def opened(tmp: Path, fleet: Played) -> AsyncIterator[Scene]:
    scenes: list[Scene] = []
    options = ConsoleOptions(token="open-sesame")
    with Console(("127.0.0.1", 0), options, endpoints(fleet, scenes)) as console:
        async with browser(tmp, 1280, 900) as page:
            scenes.append(Scene(page, fleet, console.port))
            await page.open(scenes[0].url)
            yield scenes[0]
            assert page.errors == []


async def test_a_kill_is_seen_from_the_bar_to_its_recovery(tmp_path: Path) -> None:
    fleet = at_work(3, cost=20.0)
    async with opened(tmp_path, fleet) as scene:
        await scene.until("app.model.bars.size === 3", "every attempt has a bar")
        held = next(one for one in fleet.running.values() if one.member == "worker-2")
        fleet.kill("worker-2")
        await scene.until("app.model.links.length === 0 && app.model.marks.length === 2", "marks")
        fleet.members["worker-4"] = fleet.members["worker-1"].__class__(
            member="worker-4", group="worker-group", slots=1, free=1, since=fleet.at
        )
        fleet.step(0.5)
        await scene.until("app.now.lanes.model.links.length === 1", "it is taken up again")
        drawn = await scene.asks(
            "app.now.lanes.model.links.map(({fromBar, toBar}) => [fromBar.task, fromBar.member,"
            "fromBar.outcome, fromBar.end, toBar.member, toBar.attempt, toBar.outcome])"
        )
        again = fleet.running[held.task]
        assert drawn == [
            [
                held.task,
                "worker-2",
                "cut",
                pytest.approx(fleet.ended[0].ended),
                "worker-4",
                2,
                "again",
            ]
        ]
        assert again.attempt == 2
        lanes = await scene.asks("app.now.lanes.model.lanes.map((l) => [l.name, l.dead])")
        assert lanes == [
            ["worker-1", False], ["worker-2", True], ["worker-3", False], ["worker-4", False],
        ]  # fmt: skip
        places = await scene.asks("app.now.lanes.model.bars.map((b) => app.now.lanes.place(b))")
        assert all(wide > 0 and high > 0 for _, _, wide, high in places)
        table = await scene.page.value("document.getElementById('members').innerText")
        assert "worker-2" in table
        assert "dead" in table


async def test_jobs_are_found_and_foreign_text_is_only_text(tmp_path: Path) -> None:
    fleet = Played(2, 1, time.time(), cost=60.0)
    fleet.waiting = [(HOSTILE, 0), ("order-7", 0)]
    fleet.step(0.1)
    async with opened(tmp_path, fleet) as scene:
        page = scene.page
        await page.value("location.hash = '#/jobs'")
        await scene.until(
            "document.querySelectorAll('#job-rows tr').length === 2", "both are listed"
        )
        shown = "[...document.querySelectorAll('#job-columns th')].map((e) => e.innerText).join()"
        assert await page.value(shown) == ",".join(
            one.title for one in COLUMNS if one.where != "terminal" and one.kind != "note"
        )
        await page.value(
            "(() => { const f = document.getElementById('filters').elements.search;"
            "f.value = 'order'; f.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        await scene.until("document.querySelectorAll('#job-rows tr').length === 1", "one is found")
        row = await page.value("document.querySelector('#job-rows tr').innerText")
        assert "running" in row
        assert HOSTILE[:28] in row  # why it waits, below its id
        assert "search=order" in await page.value("location.hash")
        await page.value("document.querySelector('#job-rows a').click()")
        await scene.until(
            "document.querySelectorAll('#view-job h1').length === 1", "its page opens"
        )
        text = "document.getElementById('view-job').textContent"
        thrice = f"{text}.split('<img src=x onerror=alert(1)>').length === 4"
        await scene.until(thrice, "markup is text: in id, error, argument")
        assert await page.count("#view-job img") == 0


async def test_an_act_asks_for_the_token(tmp_path: Path) -> None:
    fleet = at_work(1)
    async with opened(tmp_path, fleet) as scene:
        page = scene.page
        await scene.until("app.model.acts === true", "acts are on")
        await page.value("location.hash = '#/job/order-01-1'")
        await scene.until(
            "document.querySelectorAll('button.act').length === 1", "it may run again"
        )
        await page.value("document.querySelector('button.act').click()")
        fill = (
            "document.getElementById('token').value = {}; document.querySelector('.strong').click()"
        )
        await page.value(fill.format("'wrong'"))
        said = "document.querySelector('dialog .problem').textContent.includes('token')"
        await scene.until(said, "a wrong token is refused")
        assert scene.acted == []
        await page.value(fill.format("'open-sesame'"))
        await scene.until("!document.getElementById('dialog').open", "it is done")
        assert scene.acted == [("rerun", ["order-01-1"])]
        page.errors[:] = [one for one in page.errors if "401" not in one]


async def test_the_page_says_when_the_steward_is_gone_and_comes_back(tmp_path: Path) -> None:
    fleet = Played(2, 1, time.time())
    async with browser(tmp_path) as page:
        with Console(("127.0.0.1", 0), ConsoleOptions(), endpoints(fleet, [])) as console:
            port = console.port
            scene = Scene(page, fleet, port)
            await page.open(scene.url)
            stream = "document.documentElement.dataset.stream === '{}'"
            await scene.until(stream.format("live"), "it is live")
        await scene.until(stream.format("lost"), "the loss is noticed")
        assert "gone" in await page.value("document.getElementById('stream-words').textContent")
        with Console(("127.0.0.1", port), ConsoleOptions(), endpoints(fleet, [])):
            await scene.until(stream.format("live"), "it is live again")


async def test_a_thousand_members_and_ten_thousand_attempts(tmp_path: Path) -> None:
    """What it says (-rP): the first picture, and the scrolling while the fleet goes on."""
    fleet = Played(1000, 1, time.time() - 50, cost=4.0)
    while fleet.at < time.time():
        play(fleet, 0.25)
    assert len(fleet.ended) + len(fleet.running) > 10_000
    async with opened(tmp_path, fleet) as scene:
        page = scene.page
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=FIRST_PICTURE)
        await page.open(scene.url)
        await scene.until("window.drawn !== undefined", "the first picture is there")
        first = await page.value("drawn / 1000")
        assert await scene.asks("app.now.lanes.model.lanes.length") == 1000
        assert await scene.asks("app.now.lanes.model.bars.length") > 10_000
        await page.call("Performance.enable", timeDomain="threadTicks")
        before = await computing(page)
        going_on = asyncio.create_task(keep_playing(fleet))
        frames, pictures, scrolled, seconds = await scene.asks(SCROLL)
        going_on.cancel()
        spent = (await computing(page) - before) / frames
        sys.stdout.write(
            f"first picture {first:.2f} s after navigation; scrolling for {seconds:.1f} s:"
            f" {frames / seconds:.1f} frames/s, {pictures / seconds:.1f} pictures of the lanes/s,"
            f" {spent * 1000:.1f} ms of the main thread a frame\n"
        )
        assert first < 20  # how fast it is says more of what else the machine does
        assert pictures > 1
        assert scrolled > 1000
        assert 0 < await a_picture(scene) < 1 / 30


#: Sets `drawn`, in ms since the navigation, a frame after all lanes are drawn first.
FIRST_PICTURE = """
function look() {
  const spacer = document.querySelector("#lanes .spacer");
  if (spacer && spacer.offsetHeight > 10000) requestAnimationFrame((t) => { drawn = t; });
  else requestAnimationFrame(look);
}
requestAnimationFrame(look);
"""
#: Scrolls a little in each frame, for four seconds.
SCROLL = """new Promise((tell) => {
  const { lanes } = app.now, draw = lanes.draw, began = performance.now();
  let frames = 0, pictures = 0, most = 0;
  lanes.draw = (...when) => { pictures += 1; draw.apply(lanes, when); };
  requestAnimationFrame(function step() {
    const seconds = (performance.now() - began) / 1000;
    lanes.box.scrollTop += 60;
    most = Math.max(most, lanes.box.scrollTop);
    frames += 1;
    if (seconds < 4 || most <= 1000) { requestAnimationFrame(step); return; }
    delete lanes.draw;
    tell([frames, pictures, most, seconds]);
  });
})"""


def play(fleet: Played, seconds: float) -> None:
    fleet.submit(2500 - len(fleet.waiting))
    fleet.step(seconds)


async def keep_playing(fleet: Played) -> None:
    while True:
        play(fleet, max(0.0, time.time() - fleet.at))
        await asyncio.sleep(0.25)


async def a_picture(scene: Scene) -> float:
    """Return the seconds of computing that a picture of the lanes takes, wherever it scrolls."""
    before = await computing(scene.page)
    frames = 60
    await scene.asks(
        f"(() => {{ const l = app.now.lanes; for (let i = 0; i < {frames}; i++) {{"
        "l.box.scrollTop = i * 200; l.draw(l.from, l.to, l.now); }"
        "l.canvas.getContext('2d').getImageData(0, 0, 1, 1); })()"
    )
    return (await computing(scene.page) - before) / frames


async def computing(page: Page) -> float:
    metrics = (await page.call("Performance.getMetrics"))["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


async def test_axe_has_no_serious_finding_in_either_scheme(tmp_path: Path) -> None:
    folder = npm_package(tmp_path / "npm", "axe-core@4.11.0")
    axe = (folder / "axe.min.js").read_text(encoding="utf-8")
    fleet = Played(3, 2, time.time())
    fleet.submit(9)
    fleet.step(0.1)
    fleet.kill("worker-2")
    async with opened(tmp_path, fleet) as scene:
        await scene.until("app.model.lanes.size === 3", "the picture is there")
        for scheme in ("light", "dark"):
            await scene.page.value(f"document.documentElement.dataset.theme = '{scheme}'")
            for view in ("now", "jobs", "job/order-01-1", "quarantine", "schedules"):
                await scene.page.value(f"location.hash = '#/{view}'")
                await asyncio.sleep(0.3)
                assert await serious(scene.page, axe) == [], (scheme, view)
        scene.page.errors[:] = [one for one in scene.page.errors if "404" not in one]


async def serious(page: Page, axe: str) -> list[str]:
    run = "axe.run(document).then((r) => JSON.stringify(r.violations))"
    answer = await page.call(
        "Runtime.evaluate", expression=f"{axe};{run}", awaitPromise=True, returnByValue=True
    )
    found = json.loads(answer["result"]["value"])
    return [
        f"{one['id']}: {one['nodes'][0]['html']}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]

"""The page by keyboard alone, its colours, and two stewards."""

import re
import time
from importlib.resources import files
from pathlib import Path

import pytest

from resonate_fleet.contract.live import LiveParked
from resonate_fleet.contract.pages import Page
from resonate_fleet.steward.console import Console, ConsoleOptions, Endpoints
from resonate_fleet.steward.live import Feed
from tests.support.browser import Page as Shown
from tests.support.browser import browser
from tests.support.played import Played, at_work
from tests.system.test_console_page import Scene, endpoints, opened

pytestmark = pytest.mark.browser

#: Every colour that the lanes are drawn with.
NAMED = {
    name
    for module in ("lanes.js", "outcomes.js")
    for name in re.findall(r'"(--\w+)"', files("resonate_fleet.web").joinpath(module).read_text())
}
#: The views, and what says that all of each is there.
VIEWS = {
    "now": "document.querySelectorAll('#members tr').length === 3",
    "jobs": "document.querySelectorAll('#job-rows tr').length === 3",
    "job/order-01-1": "document.querySelectorAll('button.act').length === 1",
    "quarantine": "!document.getElementById('view-quarantine').hidden",
    "schedules": "document.getElementById('schedules-note').textContent !== ''",
}
KEYS = {"Tab": 9, "Enter": 13, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27}
#: What can be reached on the view that is shown, and what has the focus, with its outline.
THERE = (
    "[...document.querySelectorAll('a[href], button, select, input, [tabindex=\"0\"]')]"
    ".filter((e) => e.checkVisibility()).length"
)
FOCUSED = (
    "(() => { const e = document.activeElement, style = getComputedStyle(e);"
    "window.known ??= new Map(); if (!known.has(e)) known.set(e, known.size);"
    "return [known.get(e), e.tagName, style.outlineStyle, parseFloat(style.outlineWidth)]; })()"
)


async def press(page: Shown, key: str) -> None:
    about = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
    text = {"text": "\r"} if key == "Enter" else {}
    await page.call("Input.dispatchKeyEvent", type="keyDown", **about, **text)
    await page.call("Input.dispatchKeyEvent", type="keyUp", **about)


async def reached(page: Shown) -> set[int]:
    """Tab through the view until the focus comes round; each stop must be seen to have it."""
    found: set[int] = set()
    for _ in range(60):
        await press(page, "Tab")
        number, name, style, width = await page.value(FOCUSED)
        if number in found:
            break
        if name == "BODY":  # it goes on at the top
            continue
        assert style != "none", name
        assert width >= 1, name
        found.add(number)
    return found


async def test_the_keyboard_alone_reaches_everything(tmp_path: Path) -> None:
    fleet = at_work(3)
    async with opened(tmp_path, fleet) as scene:
        page = scene.page
        await scene.until("app.model.bars.size === 3", "every attempt has a bar")
        for view, there in VIEWS.items():
            await page.value(f"location.hash = '#/{view}'; window.known = undefined")
            await scene.until(there, f"all of {view} is there")
            await page.value("document.activeElement.blur()")
            assert len(await reached(page)) == await page.value(THERE), view
        page.errors[:] = [one for one in page.errors if "404" not in one]


async def test_focus_and_selection_outlive_what_comes_anew(tmp_path: Path) -> None:
    """Lists are asked for again and again, and the stream tells four times a second."""
    fleet = at_work(3)
    fleet.parked.append(LiveParked(task="bad", job="bad", attempt=3, members=["worker-1"]))
    async with opened(tmp_path, fleet) as scene:
        page = scene.page
        await page.value("location.hash = '#/jobs'")
        await scene.until(VIEWS["jobs"], "all are listed")
        await page.value("[...document.querySelectorAll('#job-rows a')].at(-1).focus()")
        held = await page.value("document.activeElement.textContent")
        fleet.members["worker-9"] = fleet.members["worker-1"].__class__(
            member="worker-9", group="worker-group", slots=1, free=1, since=fleet.at
        )
        fleet.submit(1)
        fleet.step(0.1)
        await scene.until("document.querySelectorAll('#job-rows tr').length === 4", "one more came")
        assert await page.value("document.activeElement.textContent") == held
        await page.value("location.hash = '#/quarantine'")
        await scene.until(
            "document.querySelectorAll('#parked-rows .redrive').length === 1", "it waits"
        )
        await page.value("document.querySelector('#parked-rows .redrive').focus()")
        fleet.parked.insert(0, LiveParked(task="worse", job="worse", attempt=3))
        await scene.until(
            "document.querySelectorAll('#parked-rows .redrive').length === 2", "two do"
        )
        row = "document.activeElement.closest('tr').querySelector('th').textContent"
        assert await page.value(row) == "bad"
        await page.value("location.hash = '#/now'")
        await scene.until("document.querySelectorAll('#members tr').length === 4", "all are there")
        await page.value("getSelection().selectAllChildren(document.querySelector('#members th'))")
        done = await scene.asks("app.model.at")
        fleet.step(80.0)
        await scene.until(f"app.model.at > {done + 70}", "much has ended")
        await scene.until("!app.now.stale", "it is drawn")
        assert await page.value("getSelection().toString()") == "worker-1"


async def test_a_job_is_found_and_acted_on_by_keys(tmp_path: Path) -> None:
    fleet = at_work(3)
    async with opened(tmp_path, fleet) as scene:
        page = scene.page
        await scene.until("app.model.bars.size === 3", "every attempt has a bar")
        await page.value("document.querySelector('#lanes canvas').focus()")
        await press(page, "ArrowDown")
        await press(page, "ArrowDown")
        chosen = await scene.asks("app.now.lanes.chosen.job")
        assert chosen in await page.value("document.getElementById('pointed').textContent")
        await press(page, "Enter")
        await scene.until("document.querySelector('button.act') !== null", "its page opens")
        assert chosen in await page.value("location.hash")
        await page.value("document.querySelector('button.act').focus()")
        await press(page, "Enter")
        await scene.until("document.activeElement.id === 'token'", "the token is asked for")
        await press(page, "Escape")
        await scene.until("!document.getElementById('dialog').open", "it is left")
        assert await page.value("document.activeElement.className.includes('act')")
        assert scene.acted == []


async def test_bars_and_signs_stand_out_in_both_schemes(tmp_path: Path) -> None:
    """3 to 1 at least, as WCAG asks of graphics; words are what axe looks at."""
    fleet = Played(1, 1, time.time())
    async with opened(tmp_path, fleet) as scene:
        for scheme in ("light", "dark"):
            await scene.page.value(
                f"document.documentElement.dataset.theme !== '{scheme}'"
                " && document.getElementById('theme').click()"
            )
            colours = await scene.asks("app.now.lanes.colours")
            assert colours.keys() >= NAMED
            assert all(colours.values())
            for name in ("--ink", "--soft", "--blue", "--green", "--red", "--purple", "--gap"):
                ratio = contrast(colours[name], colours["--lane"])
                assert ratio >= 3, (scheme, name, ratio)


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def second(fleet: Played) -> Endpoints:
    asks = endpoints(fleet, []).asks
    pages = {"/livez": lambda _: Page("ok\n")}
    return Endpoints(
        Feed(fleet.state, {"acts": False, "kill": False, "peers": []}), pages, asks, {}
    )


async def test_the_page_goes_to_the_other_steward(tmp_path: Path) -> None:
    fleet = at_work(2)
    address = ("127.0.0.1", 0)
    async with browser(tmp_path) as page:
        with Console(address, ConsoleOptions(), second(fleet)) as other:
            there = f"http://127.0.0.1:{other.port}"
            told = Feed(fleet.state, {"acts": False, "kill": False, "peers": [there]})
            with Console(
                address,
                ConsoleOptions(peers=[there]),
                Endpoints(told, {}, endpoints(fleet, []).asks, {}),
            ) as first:
                scene = Scene(page, fleet, first.port)
                await page.open(f"{scene.url}#/now")
                await scene.until("app.model.bars.size === 2", "it is live")
                await page.value(
                    "document.cookie = 'said='; new MutationObserver(() => {"
                    "const now = document.documentElement.dataset.stream;"
                    "document.cookie = `said=${document.cookie.slice(5)}${now}.`; })"
                    ".observe(document.documentElement, {attributeFilter: ['data-stream']})"
                )
            await scene.arrives(f"{there}/#/now")
            await scene.until("app.model.bars.size === 2", "it goes on there")
            stream = "document.documentElement.dataset.stream"
            assert await page.value(stream) == "live"
            said = await page.value("document.cookie")
            assert "lost." in said
            assert said.endswith("elsewhere."), "what was drawn on the way; cookies know no ports"

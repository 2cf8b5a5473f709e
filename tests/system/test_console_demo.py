"""The page over a real demo: watched from start to end, and compared with the journals."""

import math
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from resonate_fleet.contract.journal import Claimed, HandedOver, Line, StrikeDone, read_folder
from resonate_fleet.contract.run import RunFolder
from tests.support.browser import Page, browser
from tests.support.console import Watched
from tests.support.processes import Process, Processes
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.long]

ADDRESS = re.compile(r"console  (\S+)  token (\S+)")


class Demo(Watched):
    def __init__(self, process: Process, page: Page, runs: Path) -> None:
        self.process = process
        super().__init__(page)
        self._runs = runs
        found = ADDRESS.search(process.out.read_text())
        assert found
        self.url, self.token = found.groups()

    def answers(self) -> bool:
        address = urlsplit(self.url)
        with suppress(OSError), socket.create_connection((address.hostname, address.port), 5):
            return True
        return False

    def lines[L: Line](self, kind: type[L]) -> list[L]:
        (root,) = self._runs.iterdir()
        return [one for one in read_folder(RunFolder(root).journal) if isinstance(one, kind)]


@asynccontextmanager
async def demo(processes: Processes, tmp: Path, *options: str) -> AsyncIterator[Demo]:
    runs = tmp / "runs"
    asked = ("demo", "--web", "--runs", str(runs), *options)
    process = processes.room("fleet", "demo", {}, *asked)
    wait_until(lambda: "token" in process.out.read_text(), 30, "it says where the page is")
    async with browser(tmp, 1280, 900) as page:
        shown = Demo(process, page, runs)
        wait_until(shown.answers, 60, "the steward is up")
        await page.open(shown.url)
        yield shown
        assert page.errors == []
        assert page.failed == []
        assert all(one.startswith(shown.url) for one in page.asked)


async def test_a_demo_with_a_kill_is_watched_from_start_to_end(
    processes: Processes, tmp_path: Path
) -> None:
    async with demo(processes, tmp_path, "--jobs", "12") as shown:
        await shown.until("app.model.total('done') === 12", "all is done")
        strike, *_ = shown.lines(StrikeDone)
        kept = "app.now.lanes.model"
        longest = "{const s = document.getElementById('window'); s.value = '900';"
        await shown.page.value(longest + "s.dispatchEvent(new Event('change'))}")
        await shown.until("!app.now.stale", "it is drawn, also what is older than a minute")
        # Every claim of the journal is a bar, in its member's lane: it begins after the claim and
        # before the member's next one, for which the steward had heard of this one.
        claims = {(one.task, one.attempt): one for one in shown.lines(Claimed)}
        bars = await shown.asks(
            f"{kept}.bars.map((b) => [b.task, b.attempt, b.begin, b.outcome,"
            f"{kept}.lanes[b.lane].name])"
        )
        assert {(task, attempt) for task, attempt, *_ in bars} == claims.keys()
        for task, attempt, begin, _, member in bars:
            claim = claims[task, attempt]
            assert member == claim.who
            later = [one.at for one in claims.values() if one.who == member and one.at > claim.at]
            assert claim.at <= begin <= min(later, default=math.inf)
        cut = {(task, attempt) for task, attempt, _, outcome, _ in bars if outcome == "cut"}
        assert cut == {tuple(one) for one in strike.held}
        # The kill and the hand-over are marked in the lane of who was killed, after they happened.
        marks = await shown.asks(
            f"{kept}.marks.map((m) => [m.kind, {kept}.lanes[m.lane].name, m.at])"
        )
        at = {kind: at for kind, lane, at in marks if lane == strike.target}
        (handed,) = shown.lines(HandedOver)
        assert strike.asked <= at["died"] <= handed.at <= at["handed-over"]
        # The line leads from the bar that was cut off to the one that took the job up.
        links = await shown.asks(
            f"{kept}.links.map((l) => [l.fromBar.task, l.fromBar.attempt, l.toBar.attempt,"
            "l.toBar.outcome])"
        )
        assert links == [[handed.task, 1, 2, "again"]]
        table = await shown.page.value("document.getElementById('members').innerText")
        assert strike.target in table
        wait_until(lambda: "Ctrl-C ends it" in shown.process.out.read_text(), 60, "it is judged")
        assert "PASS" in shown.process.out.read_text()
    shown.process.send(signal.SIGINT)
    assert shown.process.wait(30) == 0


async def test_the_page_kills_the_member_of_a_job(processes: Processes, tmp_path: Path) -> None:
    # Long jobs: the one that is chosen still runs when a busy browser has done all of this.
    options = ("--jobs", "6", "--kill", "0", "--scale", "8")
    async with demo(processes, tmp_path, *options) as shown:
        await shown.until("app.model.total('running') > 1", "work is under way")
        job = await shown.asks(
            "[...app.model.bars.values()].filter((b) => b.end === null)"
            ".sort((a, b) => b.begin - a.begin)[0].job"
        )
        page = shown.page
        await page.value(f"location.hash = '#/job/{job}'")
        await shown.until("document.querySelector('button.kill') !== null", "it is offered")
        await page.value("document.querySelector('button.kill').click()")
        await page.value(
            f"document.getElementById('token').value = '{shown.token}';"
            "document.querySelector('dialog .strong').click()"
        )
        await shown.until("!document.getElementById('dialog').open", "it is asked for")
        await page.value("location.hash = '#/now'")
        await shown.until("app.model.links.length > 0", "its job runs again elsewhere")
        await shown.until("app.model.total('done') === 6", "all is done")
        out = shown.process.out
        wait_until(lambda: "Ctrl-C ends it" in out.read_text(), 60, "it is judged")
        assert "PASS" in out.read_text()
        (strike,) = shown.lines(StrikeDone)
        assert strike.job == job
        assert job in [task for task, _ in strike.held]

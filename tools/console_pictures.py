"""Makes the pictures of the console for README and docs: `uv run python -m tools.console_pictures`.

The fleet on them is played (tests/support/played.py), so that the same pictures come each time.
"""

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from resonate_fleet.contract.live import LiveState
from resonate_fleet.steward.console import Console, ConsoleOptions, Endpoints
from resonate_fleet.steward.live import Feed
from tests.support.browser import Page, browser
from tests.support.played import Played

OUT: Final = Path(__file__).parents[1] / "docs" / "pictures"
WIDTHS: Final = (1600, 1280, 400)
SCHEMES: Final = ("light", "dark")
#: Seconds that are played, so many times faster than they pass, and when in them a member dies.
PLAYED, SPEED, DIES = 90.0, 12.0, 60.0


class Show:
    """A played fleet; its time begins when it is first looked at."""

    def __init__(self) -> None:
        self._opened: float | None = None
        self._began = time.time() - PLAYED
        self.fleet = Played(5, 2, self._began)
        self._dies: float | None = self._began + DIES

    @property
    def over(self) -> bool:
        return self.fleet.at >= self._began + PLAYED

    def state(self) -> LiveState:
        self._opened = self._opened or time.time()
        now = self._began + min(PLAYED, SPEED * (time.time() - self._opened))
        while self.fleet.at < now:
            self.fleet.step(0.05)
            if self._dies is not None and self.fleet.at > self._dies:
                self._dies = None
                self.fleet.kill("worker-3")
            if not self.fleet.waiting:
                self.fleet.submit(24)
        return self.fleet.state()


async def jobs(_: Mapping[str, str]) -> Any:
    return {"jobs": [], "more": False}


async def take(page: Page, show: Show, url: str, width: int, scheme: str) -> None:
    narrow = width < 500
    await page.call(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=900, deviceScaleFactor=1, mobile=narrow,
    )  # fmt: skip
    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
    await page.call("Emulation.setEmulatedMedia", features=wanted)
    await page.open(url)
    for _ in range(600):
        if show.over:
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.6)  # the last message, and a frame
    await page.picture(OUT / f"console-{width}-{scheme}.png")


async def show(width: int, scheme: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with browser(Path(folder), width, 900) as page:
            played = Show()
            feed = Feed(played.state, {"acts": False, "kill": False, "peers": []})
            endpoints = Endpoints(feed, {}, {"jobs": jobs}, {})
            with Console(("127.0.0.1", 0), ConsoleOptions(), endpoints) as console:
                await take(page, played, f"http://127.0.0.1:{console.port}/", width, scheme)


async def main() -> None:
    for width in WIDTHS:
        for scheme in SCHEMES:
            await show(width, scheme)


if __name__ == "__main__":
    asyncio.run(main())

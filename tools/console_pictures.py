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
from resonate_fleet.steward.console import Console, ConsoleOptions, Doors
from resonate_fleet.steward.feed import Feed
from tests.support.browser import Page, browser
from tests.support.played import Played

OUT: Final = Path(__file__).parents[1] / "docs" / "pictures"
WIDTHS: Final = (1600, 1280, 400)
SCHEMES: Final = ("light", "dark")
#: Seconds of the past that are played, and when in them a member dies.
PAST, DIES = 90.0, 60.0


class Show:
    """A played fleet that goes on by the clock."""

    def __init__(self) -> None:
        began = time.time() - PAST
        self.fleet = Played(5, 2, began)
        self._dies: float | None = began + DIES
        self.fleet.submit(30)

    def state(self) -> LiveState:
        while self.fleet.at < time.time():
            self.fleet.step(0.05)
            if self._dies is not None and self.fleet.at > self._dies:
                self._dies = None
                self.fleet.kill("worker-3")
            if len(self.fleet.waiting) < 6:
                self.fleet.submit(5)
        return self.fleet.state()


async def jobs(_: Mapping[str, str]) -> Any:
    return {"jobs": [], "more": False}


async def take(page: Page, url: str, width: int, scheme: str) -> None:
    narrow = width < 500
    await page.call(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=900, deviceScaleFactor=1, mobile=narrow,
    )  # fmt: skip
    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
    await page.call("Emulation.setEmulatedMedia", features=wanted)
    await page.open(url)
    for _ in range(100):
        if await page.value("document.documentElement.dataset.stream") == "live":
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.5)  # some messages, so that the small curves have points
    await page.picture(OUT / f"console-{width}-{scheme}.png")


async def show(width: int, scheme: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with browser(Path(folder), width, 900) as page:
            feed = Feed(Show().state, {"acts": False, "kill": False, "peers": []})
            doors = Doors(feed, {}, {"jobs": jobs}, {})
            with Console(("127.0.0.1", 0), ConsoleOptions(), doors) as console:
                await take(page, f"http://127.0.0.1:{console.port}/", width, scheme)


async def main() -> None:
    for width in WIDTHS:
        for scheme in SCHEMES:
            await show(width, scheme)


if __name__ == "__main__":
    asyncio.run(main())

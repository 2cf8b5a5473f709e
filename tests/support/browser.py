"""A headless Chromium, driven over its DevTools protocol."""

import asyncio
import base64
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.services import need

#: Chromium breaks requests off when a network of the machine comes or goes: Docker's, of a test
#: beside this one. The page asks again.
NETWORKS = "net::ERR_NETWORK_CHANGED"
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Longest wait for the browser to start or to answer, in seconds.
WAIT_SECONDS = 30.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def chromium() -> str:
    """Return the browser's path; without one, skip on a laptop and fail in CI."""
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    need(found is not None, f"a browser ({', '.join(NAMES)})")
    return str(found)


def _is_error(entry: dict[str, Any]) -> bool:
    return entry["level"] in ("error", "warning") and NETWORKS not in entry["text"]


class Page:
    """An open page. `errors` are its exceptions and console errors; `asked` what it requested.

    `failed`: requests that got no answer, or one of an error.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.failed: list[str] = []

    async def listen(self) -> None:
        """Sort what the browser says; runs for as long as the page is open."""
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            else:
                self._event(said["method"], said["params"])

    def _event(self, method: str, about: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Network.requestWillBeSent":
            self.asked.append(about["request"]["url"])
        elif method == "Network.loadingFailed":
            if about["errorText"] != NETWORKS:
                self.failed.append(about["errorText"])
        elif method == "Network.responseReceived" and about["response"]["status"] >= 400:
            self.failed.append(about["response"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(about["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning"):
            self.errors.append(str(about["args"]))
        elif method == "Log.entryAdded" and _is_error(about["entry"]):
            self.errors.append(about["entry"]["text"])

    async def call(self, method: str, **about: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": about})
        said = await asyncio.wait_for(answer, WAIT_SECONDS)
        assert "error" not in said, said["error"]
        result: dict[str, Any] = said["result"]
        return result

    async def open(self, url: str) -> None:
        """Go to `url` and wait until it is loaded."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), WAIT_SECONDS)

    async def value(self, script: str) -> Any:
        """Return what a JavaScript expression gives."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def count(self, selector: str) -> int:
        return int(await self.value(f"document.querySelectorAll({selector!r}).length"))

    async def point(self, selector: str) -> None:
        """Move the mouse to the middle of an element."""
        box = await self.value(
            f"(() => {{ const e = document.querySelector({selector!r}); "
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        await self.mouse("mouseMoved", box[0], box[1])

    async def mouse(self, kind: str, x: float, y: float, buttons: int = 0) -> None:
        pressed = {"button": "left", "buttons": buttons, "clickCount": 1} if buttons else {}
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    async def picture(self, path: Path) -> None:
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))  # noqa: ASYNC240 - nothing else runs


@asynccontextmanager
async def browser(root: Path, width: int = 1320, height: int = 1600) -> AsyncIterator[Page]:
    """Start a browser of its own, with its profile under `root`, and open an empty page."""
    process = await asyncio.create_subprocess_exec(
        chromium(),
        *FLAGS,
        f"--window-size={width},{height}",
        f"--user-data-dir={root / 'profile'}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(root)},
        start_new_session=True,
    )
    try:
        port = await asyncio.wait_for(_port(root / "profile" / "DevToolsActivePort"), WAIT_SECONDS)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                [page, *_] = [one for one in await answer.json() if one["type"] == "page"]
            address = page["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                opened = Page(socket)
                listening = asyncio.create_task(opened.listen())
                yield opened
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()


async def _port(file: Path) -> int:
    """Wait until the browser has written the port that it chose."""
    while True:
        with suppress(OSError, ValueError, IndexError):
            return int(file.read_text().splitlines()[0])  # noqa: ASYNC240 - one short line
        await asyncio.sleep(0.02)

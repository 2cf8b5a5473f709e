"""The steward's pages: probes, metrics, quarantine, the live state.

Each request runs in a thread of its own and takes the state from the event loop.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field

import msgspec

from resonate_fleet.contract.live import LiveState
from resonate_fleet.contract.pages import Handler, Page
from resonate_fleet.steward.metrics import Meters
from resonate_fleet.steward.state import Memory

#: A loop that has not ticked for this long is stuck, in seconds.
STUCK_SECONDS = 15.0
#: Longest wait of a page for the event loop, in seconds.
PAGE_SECONDS = 5.0


@dataclass
class ProbeState:
    """Written by the loop, read by the probes. `ticked` in seconds of the monotonic clock."""

    ready: bool = False
    ticked: float = field(default_factory=time.monotonic)

    def live(self) -> bool:
        return time.monotonic() - self.ticked < STUCK_SECONDS


def on_loop(
    loop: asyncio.AbstractEventLoop, take: Callable[[], LiveState]
) -> Callable[[], LiveState]:
    """Return a function that calls `take` on the loop, for any other thread.

    It raises TimeoutError when the loop is stuck.
    """

    async def call() -> LiveState:
        return take()

    return lambda: asyncio.run_coroutine_threadsafe(call(), loop).result(PAGE_SECONDS)


def pages(
    meters: Meters, memory: Memory, probed: ProbeState, state: Callable[[], LiveState]
) -> dict[str, Handler]:
    """Return the handlers by path. `state` is called from the pages' threads."""

    def live(_: str) -> Page:
        try:
            return _json(state())
        except Late:
            return Page("the event loop is stuck\n", 503)

    return {
        "/livez": lambda _: _probe(probed.live(), "the event loop is stuck"),
        "/readyz": lambda _: _probe(probed.ready, "not watching members"),
        "/metrics": meters.page,
        "/quarantine": lambda _: _json({"records": list(memory.records.copy().values())}),
        "/state": live,
    }


def _json(value: object) -> Page:
    return Page(msgspec.json.encode(value), content_type="application/json")


def _probe(good: bool, why: str) -> Page:  # noqa: FBT001 - a page for each of two states
    return Page("ok\n") if good else Page(f"{why}\n", 503)

"""The steward's pages for probes, scrapes and programs.

They are made in threads of their own, which take the live state from the event loop.
"""

import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field

import msgspec

from resonate_fleet.contract.live import LiveState
from resonate_fleet.contract.pages import Handler, Page
from resonate_fleet.steward.tools import Tools

#: A loop that has not ticked for this long is stuck, in seconds.
STUCK_SECONDS = 15.0


@dataclass
class ProbeState:
    """Written by the loop, read by the probes. `ticked` in seconds of the monotonic clock."""

    ready: bool = False
    ticked: float = field(default_factory=time.monotonic)


def pages(tools: Tools, probed: ProbeState, state: Callable[[], LiveState]) -> dict[str, Handler]:
    """Return the pages by path: probes, metrics, quarantine, the live state.

    `state` is called from their threads.
    """

    def live(_: str) -> Page:
        try:
            return _json(state())
        except Late:
            return Page("the event loop is stuck\n", 503)

    def livez(_: str) -> Page:
        stuck = time.monotonic() - probed.ticked >= STUCK_SECONDS
        return Page("the event loop is stuck\n", 503) if stuck else Page("ok\n")

    def readyz(_: str) -> Page:
        return Page("ok\n") if probed.ready else Page("not watching members\n", 503)

    return {
        "/livez": livez,
        "/readyz": readyz,
        "/metrics": tools.meters.page,
        "/quarantine": lambda _: _json({"records": list(tools.memory.records.copy().values())}),
        "/state": live,
    }


def _json(value: object) -> Page:
    return Page(msgspec.json.encode(value), content_type="application/json")

"""The steward's pages: probes, metrics, members, quarantine, the live state.

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


class MemberLine(msgspec.Struct, frozen=True):
    """A member on the members page. Without presence its group is unknown: None."""

    member: str
    group: str | None
    slots: int | None
    present: bool
    leases: list[tuple[str, int]]


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

    def quarantine(state: LiveState) -> Page:
        records = list(memory.records.copy().values())
        parked = [
            {"task": one.task, "job": one.job, "version": one.attempt} for one in state.parked
        ]
        return _json({"parked": parked, "records": records})

    def of_state(page: Callable[[LiveState], Page]) -> Handler:
        def handler(_: str) -> Page:
            try:
                return page(state())
            except Late:
                return Page("the event loop is stuck\n", 503)

        return handler

    return {
        "/livez": lambda _: _probe(probed.live(), "the event loop is stuck"),
        "/readyz": lambda _: _probe(probed.ready, "not watching members"),
        "/metrics": meters.page,
        "/members": of_state(lambda state: _json({"members": member_lines(state)})),
        "/quarantine": of_state(quarantine),
        "/state": of_state(_json),
    }


def member_lines(state: LiveState) -> list[MemberLine]:
    """Return the members that are present or hold a lease, by name."""
    present = {one.member: one for one in state.members if one.state == "present"}
    leases: dict[str, list[tuple[str, int]]] = {}
    for one in state.running:
        leases.setdefault(one.member, []).append((one.task, one.attempt))
    found = []
    for name in sorted(present.keys() | leases.keys()):
        member = present.get(name)
        group, slots = (member.group, member.slots) if member else (None, None)
        found.append(MemberLine(name, group, slots, member is not None, leases.get(name, [])))
    return found


def _json(value: object) -> Page:
    return Page(msgspec.json.encode(value), content_type="application/json")


def _probe(good: bool, why: str) -> Page:  # noqa: FBT001 - a page for each of two states
    return Page("ok\n") if good else Page(f"{why}\n", 503)

"""The steward's pages: probes, metrics, members, quarantine. Read from a thread of their own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.live import (
    LiveAttempt,
    LiveGroup,
    LiveMember,
    LiveParked,
    LiveState,
)
from resonate_fleet.contract.pages import Handler, Page
from resonate_fleet.contract.presence import Hello
from resonate_fleet.steward.metrics import Meters
from resonate_fleet.steward.state import Memory
from resonate_fleet.steward.tally import Counts, View

#: A loop that has not ticked for this long is stuck, in seconds.
STUCK_SECONDS = 15.0


class MemberLine(msgspec.Struct, frozen=True):
    """A member on the members page. Without presence its group is unknown: None."""

    member: str
    group: str | None
    slots: int | None
    present: bool
    leases: list[tuple[str, int]]


@dataclass
class Health:
    """Written by the loop, read by the probes. `ticked` in seconds of the monotonic clock."""

    ready: bool = False
    ticked: float = field(default_factory=time.monotonic)

    def live(self) -> bool:
        return time.monotonic() - self.ticked < STUCK_SECONDS


def pages(
    meters: Meters,
    memory: Memory,
    health: Health,
    roll: Callable[[], dict[str, Hello]],
    steward: str = "steward",
) -> dict[str, Handler]:
    """Return the handlers by path."""

    def members(_: str) -> Page:
        return _json({"members": member_lines(roll(), meters.truth.view.leases)})

    def quarantine(_: str) -> Page:
        parked = [
            {"task": task.id, "job": root_of(task.id), "version": task.version}
            for task in meters.truth.view.parked
        ]
        return _json({"parked": parked, "records": list(memory.records.copy().values())})

    def state(_: str) -> Page:
        return _json(live_state(steward, started, roll(), meters.truth.view))

    started = time.time()
    return {
        "/state": state,
        "/livez": lambda _: _probe(health.live(), "the event loop is stuck"),
        "/readyz": lambda _: _probe(health.ready, "not watching members"),
        "/metrics": meters.page,
        "/members": members,
        "/quarantine": quarantine,
    }


def member_lines(
    roll: dict[str, Hello], leases: dict[str, list[tuple[str, int]]]
) -> list[MemberLine]:
    """Return all that are present or hold something, by name."""
    found = []
    for member in sorted(roll.keys() | leases.keys()):
        hello = roll.get(member)
        group, slots = (hello.group, hello.slots) if hello else (None, None)
        held = leases.get(member, [])
        found.append(MemberLine(member, group, slots, hello is not None, held))
    return found


def live_state(steward: str, since: float, roll: dict[str, Hello], view: View) -> LiveState:
    """Return the live state as far as a look at the server can tell it."""
    running = [
        LiveAttempt(
            task=task,
            job=root_of(task),
            attempt=version,
            function="",
            group=roll[member].group if member in roll else "",
            member=member,
            since=view.at,
        )
        for member, leases in view.leases.items()
        for task, version in leases
    ]
    return LiveState(
        at=time.time(),
        steward=steward,
        since=since,
        complete=view.at > 0,
        searched=view.at or None,
        groups=[_group(name, roll, view) for name in _group_names(roll, view)],
        members=[_member(one, since, view) for _, one in sorted(roll.items())],
        running=running,
        parked=[
            LiveParked(task=one.id, job=root_of(one.id), attempt=one.version) for one in view.parked
        ],
    )


def _group_names(roll: dict[str, Hello], view: View) -> list[str]:
    return sorted({*view.groups, *(one.group for one in roll.values())})


def _group(name: str, roll: dict[str, Hello], view: View) -> LiveGroup:
    counts = view.groups.get(name, Counts())
    slots = [one.slots for one in roll.values() if one.group == name]
    return LiveGroup(
        group=name,
        members=len(slots),
        slots=sum(slots),
        waiting=counts.waiting,
        oldest=counts.oldest,
        running=counts.running,
        suspended=counts.suspended,
        parked=counts.parked,
    )


def _member(hello: Hello, since: float, view: View) -> LiveMember:
    held = len(view.leases.get(hello.member, ()))
    return LiveMember(
        member=hello.member,
        group=hello.group,
        slots=hello.slots,
        free=max(0, hello.slots - held),
        since=since,
    )


def _json(value: object) -> Page:
    return Page(msgspec.json.encode(value), content_type="application/json")


def _probe(good: bool, why: str) -> Page:  # noqa: FBT001 - a page for each of two states
    return Page("ok\n") if good else Page(f"{why}\n", 503)

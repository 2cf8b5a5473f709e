"""Looks at a fleet from outside: what the server says, and the steward's roll where there is one.

The server v0.9.8 tells who holds a task and at which version, but neither when the claim was made
nor when the lease ends. What a live view calls `since` is when it first saw the claim.
"""

import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import msgspec

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import call_of
from resonate_fleet.contract.wire import Promise, Task, Wire
from resonate_fleet.contract.words import TAG_TARGET, TAG_TIMER, group_of

#: States of a promise that ended without a result.
_FAILED: Final = ("rejected", "rejected_timedout")
#: Longest wait for the steward's pages, in seconds.
_STEWARD_SECONDS: Final = 2.0


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A held task. `attempt` is its version; `created`, Unix seconds, when the job was."""

    job: str
    task: str
    member: str
    attempt: int
    function: str
    group: str
    created: float


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of one group by state. `oldest`: creation of the oldest waiting one, Unix seconds."""

    group: str
    waiting: int
    running: int
    suspended: int
    parked: int
    oldest: float | None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A job that ended without a result. `at` in Unix seconds."""

    job: str
    function: str
    state: str
    error: str
    at: float


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How things stood at one moment, `at` in Unix seconds."""

    at: float
    held: list[Held]
    queues: list[Queue]
    failed: list[Failed]


class Present(msgspec.Struct, frozen=True):
    """A member on the steward's roll. Without presence its group and slots are unknown."""

    member: str
    group: str | None
    slots: int | None
    present: bool


async def look(wire: Wire, failed_since: float) -> Look:
    """Return how things stand; failures since `failed_since`, Unix seconds.

    Raises:
        Unreachable, Refused: as the wire does.
    """
    tasks = {
        state: [task async for task in wire.all_tasks(state)]
        for state in ("acquired", "pending", "suspended", "halted")
    }
    promises = {one.id: one async for one in _promises(wire, "pending")}
    held = [_held(task, promises[task.id]) for task in tasks["acquired"] if task.id in promises]
    return Look(
        at=time.time(),
        held=sorted(held, key=lambda one: (one.group, one.member, one.task)),
        queues=_queues(tasks, promises),
        failed=[one async for one in _failures(wire, failed_since)],
    )


async def roll(steward: str) -> list[Present]:
    """Return the members that the steward at `steward` knows.

    Raises:
        OSError, aiohttp.ClientError, ValueError: it does not answer, or not in its own words.
    """
    limit = aiohttp.ClientTimeout(total=_STEWARD_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=limit) as session,
        session.get(f"{steward.rstrip('/')}/members") as answer,
    ):
        return msgspec.json.decode(await answer.read(), type=dict[str, list[Present]])["members"]


async def _promises(wire: Wire, state: str, cursor: str | None = None) -> AsyncIterator[Promise]:
    while True:
        page, cursor = await wire.search_promises(state=state, cursor=cursor)
        for promise in page:
            yield promise
        if cursor is None:
            return


def _held(task: Task, promise: Promise) -> Held:
    return Held(
        job=root_of(task.id),
        task=task.id,
        member=task.pid or "",
        attempt=task.version,
        function=_function(promise),
        group=_group(promise),
        created=promise.created_at / 1000,
    )


def _queues(tasks: dict[str, list[Task]], promises: dict[str, Promise]) -> list[Queue]:
    """Count by group; the timers of durable sleeps are no jobs."""
    counts: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    oldest: dict[str, float] = {}
    for state, found in tasks.items():
        for task in found:
            promise = promises.get(task.id)
            if promise is None or TAG_TIMER in promise.tags:
                continue
            group = _group(promise)
            counts[group][state] += 1
            if state == "pending":
                created = promise.created_at / 1000
                oldest[group] = min(oldest.get(group, created), created)
    return [
        Queue(
            group=group,
            waiting=states["pending"],
            running=states["acquired"],
            suspended=states["suspended"],
            parked=states["halted"],
            oldest=oldest.get(group),
        )
        for group, states in sorted(counts.items())
    ]


async def _failures(wire: Wire, since: float) -> AsyncIterator[Failed]:
    """Search from ids of that time on: others than time-ordered ones sort somewhere and count."""
    cursor = f"{int(since * 1000):012x}"
    cursor = f"{cursor[:8]}-{cursor[8:]}-7000-8000-000000000000"
    for state in _FAILED:
        async for promise in _promises(wire, state, cursor):
            at = (promise.settled_at or 0) / 1000
            if at >= since and promise.id == root_of(promise.id):
                yield Failed(
                    job=promise.id,
                    function=_function(promise),
                    state=state,
                    error=_error(promise),
                    at=at,
                )


def _function(promise: Promise) -> str:
    call = call_of(promise)
    return call.func if call else ""


def _group(promise: Promise) -> str:
    target = promise.tags.get(TAG_TARGET, "")
    return group_of(target) or target


def _error(promise: Promise) -> str:
    """Return the message of an error in the SDK's shape (0.8.1, `resonate.codec`), or the value."""
    try:
        value: Any = promise.value.decoded()
    except ValueError:
        return "(not readable)"
    if isinstance(value, dict) and "message" in value:
        return str(value["message"])
    return "" if value is None else str(value)

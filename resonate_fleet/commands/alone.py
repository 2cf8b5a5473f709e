"""The fleet by the server alone: who holds what and what waits, without the members that are idle.

The server v0.9.8 tells who holds a task and at which version, but neither when the claim was made
nor when the lease ends. Of what waits two pages are read, so that a large backlog answers at once.
"""

import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import call_of
from resonate_fleet.contract.live import LiveAttempt, LiveGroup, LiveParked, LiveState
from resonate_fleet.contract.wire import Promise, Task, Wire
from resonate_fleet.contract.words import TAG_TARGET, TAG_TIMER, group_of

#: States of a promise that ended without a result.
_FAILED: Final = ("rejected", "rejected_timedout")
#: Pages of a thousand that are read of promises and of waiting tasks.
_PAGES: Final = 2


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A job that ended without a result. `at` in Unix seconds."""

    job: str
    function: str
    state: str
    error: str
    at: float


async def by_the_server(wire: Wire) -> tuple[LiveState, bool]:
    """Return how things stand, and whether more waits than was read.

    Raises:
        Unreachable, Refused: as the wire does.
    """
    tasks = {state: await _tasks(wire, state) for state in ("acquired", "suspended", "halted")}
    tasks["pending"] = await _tasks(wire, "pending", _PAGES)
    promises = {one.id: one async for one in _promises(wire, "pending", pages=_PAGES)}
    for task in tasks["acquired"] + tasks["halted"]:
        if task.id not in promises and (found := await wire.promise(task.id)) is not None:
            promises[task.id] = found
    now = time.time()
    state = LiveState(
        at=now,
        as_of=now,
        steward="",
        since=0.0,
        groups=_groups(tasks, promises),
        running=[
            _running(one, promises[one.id]) for one in tasks["acquired"] if one.id in promises
        ],
        parked=[
            LiveParked(task=one.id, job=root_of(one.id), attempt=one.version)
            for one in tasks["halted"]
        ],
    )
    return state, len(tasks["pending"]) >= _PAGES * 1000


async def failures(wire: Wire, since: float) -> list[Failed]:
    """Return the jobs that failed since `since`, Unix seconds: a search of the whole store.

    It begins at ids of that time: others than time-ordered ones sort somewhere and count.
    """
    cursor = f"{int(since * 1000):012x}"
    cursor = f"{cursor[:8]}-{cursor[8:]}-7000-8000-000000000000"
    return [
        _failure(promise)
        for state in _FAILED
        async for promise in _promises(wire, state, cursor)
        if (promise.settled_at or 0) / 1000 >= since and promise.id == root_of(promise.id)
    ]


async def failed_lately(wire: Wire, state: LiveState, most: int) -> list[Failed]:
    """Return the newest failures that a steward has seen, with their errors."""
    jobs = [one.job for one in state.ended if one.outcome == "rejected" and one.task == one.job]
    promises = [await wire.promise(job) for job in list(dict.fromkeys(reversed(jobs)))[:most]]
    return [_failure(one) for one in promises if one is not None]


async def _tasks(wire: Wire, state: str, pages: int = 1000) -> list[Task]:
    found: list[Task] = []
    cursor: str | None = None
    for _ in range(pages):
        page, cursor = await wire.search_tasks(state, cursor=cursor)
        found += page
        if cursor is None:
            break
    return found


async def _promises(
    wire: Wire, state: str, cursor: str | None = None, pages: int = 1000
) -> AsyncIterator[Promise]:
    for _ in range(pages):
        page, cursor = await wire.search_promises(state=state, cursor=cursor)
        for promise in page:
            yield promise
        if cursor is None:
            return


def _running(task: Task, promise: Promise) -> LiveAttempt:
    return LiveAttempt(
        task=task.id,
        job=root_of(task.id),
        attempt=task.version,
        function=_function(promise),
        group=_group(promise),
        member=task.pid or "",
        since=0.0,
        created=promise.created_at / 1000,
    )


def _groups(tasks: dict[str, list[Task]], promises: dict[str, Promise]) -> list[LiveGroup]:
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
        LiveGroup(
            group=group,
            waiting=states["pending"],
            running=states["acquired"],
            suspended=states["suspended"],
            parked=states["halted"],
            oldest=oldest.get(group),
        )
        for group, states in sorted(counts.items())
    ]


def _failure(promise: Promise) -> Failed:
    return Failed(
        job=promise.id,
        function=_function(promise),
        state=promise.state,
        error=_error(promise),
        at=(promise.settled_at or 0) / 1000,
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

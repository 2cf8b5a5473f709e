"""The fleet by the server alone: who holds what and what waits, without the members that are idle.

The server v0.9.8 tells who holds a task and at which version, but neither when the claim was made
nor when the lease ends. Of what waits two pages are read, so that a large backlog answers at once.
"""

import time
from collections import Counter, defaultdict
from typing import Final

import msgspec

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import JobLine, error_of, line_of
from resonate_fleet.contract.live import LiveAttempt, LiveGroup, LiveParked, LiveState
from resonate_fleet.contract.wire import Promise, Task, Wire
from resonate_fleet.contract.words import TAG_TARGET, TAG_TIMER, group_of

#: Pages of a thousand that are read of promises and of waiting tasks.
_PAGES: Final = 2


async def by_the_server(wire: Wire) -> tuple[LiveState, bool]:
    """Return how things stand, and whether more waits than was read.

    Raises:
        Unreachable, Refused: as the wire does.
    """
    tasks = {state: await _tasks(wire, state) for state in ("acquired", "suspended", "halted")}
    tasks["pending"] = await _tasks(wire, "pending", _PAGES)
    promises = await _pending(wire)
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


async def failed_lately(state: LiveState, most: int, wire: Wire) -> list[JobLine]:
    """Return the newest failures that a steward has seen; `reason` is the error."""
    jobs = [one.job for one in state.ended if one.outcome == "rejected" and one.task == one.job]
    promises = [await wire.promise(job) for job in list(dict.fromkeys(reversed(jobs)))[:most]]
    return [msgspec.structs.replace(line_of(one), reason=error_of(one)) for one in promises if one]


async def _tasks(wire: Wire, state: str, pages: int = 1000) -> list[Task]:
    found: list[Task] = []
    cursor: str | None = None
    for _ in range(pages):
        page, cursor = await wire.search_tasks(state, cursor=cursor)
        found += page
        if cursor is None:
            break
    return found


async def _pending(wire: Wire) -> dict[str, Promise]:
    found: dict[str, Promise] = {}
    cursor: str | None = None
    for _ in range(_PAGES):
        page, cursor = await wire.search_promises(state="pending", cursor=cursor)
        found |= {promise.id: promise for promise in page}
        if cursor is None:
            break
    return found


def _running(task: Task, promise: Promise) -> LiveAttempt:
    line = line_of(promise, task)
    return LiveAttempt(
        task=task.id,
        job=root_of(task.id),
        attempt=task.version,
        function=line.function,
        group=line.group,
        member=line.member,
        since=0.0,
        created=line.created,
    )


def _groups(tasks: dict[str, list[Task]], promises: dict[str, Promise]) -> list[LiveGroup]:
    """Count by group; the timers of durable sleeps are no jobs."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    oldest: dict[str, float] = {}
    for state, found in tasks.items():
        for task in found:
            promise = promises.get(task.id)
            if promise is None or TAG_TIMER in promise.tags:
                continue
            group = group_of(promise.tags.get(TAG_TARGET, "")) or ""
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

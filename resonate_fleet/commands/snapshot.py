"""How a fleet stands: by its steward, or by the server alone.

The server v0.9.8 tells who holds a task and at which version, but neither when the claim was made
nor when the lease ends. Of what waits two pages are read, so that a large backlog answers at once.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import msgspec

from resonate_fleet.commands.addresses import Addresses
from resonate_fleet.commands.tables import ago
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import JobLine, error_of, line_of
from resonate_fleet.contract.live import LiveAttempt, LiveGroup, LiveParked, LiveState
from resonate_fleet.contract.wire import Promise, Task, Wire
from resonate_fleet.contract.words import TAG_TARGET, TAG_TIMER, group_of

#: Tasks that wait, and promises, that are read of the server at most; a page has a thousand.
MOST_READ: Final = 2000


@dataclass(frozen=True)
class FleetSnapshot:
    """How things stand. `source` says by whom, and how old it is."""

    state: LiveState
    source: str


def snapshot_of(where: Addresses, state: LiveState | None) -> FleetSnapshot:
    """Return what a steward says; ask the server where none does.

    Raises:
        Unreachable, Refused: it does not answer.
    """
    if state is not None:
        return FleetSnapshot(state, _source(state))
    url = where.steward_url
    state, more = where.ask(by_the_server)
    says = f"no steward at {url}" if url else "no steward is named (--steward)"
    says += ": by the server alone, which knows no idle members"
    return FleetSnapshot(state, says + ("; more waits than is counted" if more else ""))


def by_the_steward(where: Addresses) -> LiveState | None:
    """Return what the steward knows, None where none answers."""
    return where.ask_steward("state", LiveState)


def _source(state: LiveState) -> str:
    if not state.as_of:
        return f"{state.steward} has not seen the server's jobs yet"
    says = f"{state.steward}, {ago(state.at - state.as_of)} old"
    present = any(one.state == "present" for one in state.members)
    elsewhere = present and not state.serving
    return f"{says}; the members are served by another steward" if elsewhere else says


# By the server alone.


async def by_the_server(wire: Wire) -> tuple[LiveState, bool]:
    """Return how things stand without the members that are idle, and whether more waits.

    Raises:
        Unreachable, Refused: as the wire does.
    """
    tasks = {
        state: [task async for task in wire.all_tasks(state)]
        for state in ("acquired", "suspended", "halted")
    }
    tasks["pending"] = await _first(wire.task_pages("pending"))
    promises = {one.id: one for one in await _first(wire.promise_pages("pending"))}
    for task in tasks["acquired"] + tasks["halted"]:
        if task.id not in promises and (one := await wire.promise(task.id)) is not None:
            promises[task.id] = one
    now = wire.clock.now()
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
    return state, len(tasks["pending"]) >= MOST_READ


async def _first[T](pages: AsyncIterator[list[T]]) -> list[T]:
    found: list[T] = []
    async for page in pages:
        found += page
        if len(found) >= MOST_READ:
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


async def failed_lately(state: LiveState, most: int, wire: Wire) -> list[JobLine]:
    """Return the newest failures that a steward has seen; `reason` is the error."""
    jobs = [one.job for one in state.ended if one.outcome == "rejected" and one.task == one.job]
    promises = [await wire.promise(job) for job in list(dict.fromkeys(reversed(jobs)))[:most]]
    return [msgspec.structs.replace(line_of(one), reason=error_of(one)) for one in promises if one]

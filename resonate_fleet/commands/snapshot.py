"""How a fleet stands: by its steward, once or as a stream, or by the server alone.

The server v0.9.8 tells who holds a task and at which version, but neither when the claim was made
nor when the lease ends. Of what waits two pages are read, so that a large backlog answers at once.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO, Final, Self

import msgspec

from resonate_fleet.commands.addresses import Addresses, direct
from resonate_fleet.commands.tables import ago
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import JobLine, error_of, line_of
from resonate_fleet.contract.live import LiveAttempt, LiveChange, LiveGroup, LiveParked, LiveState
from resonate_fleet.contract.wire import Promise, Task, Wire
from resonate_fleet.contract.words import TAG_TARGET, TAG_TIMER, group_of

#: Tasks that wait, and promises, that are read of the server at most; a page has a thousand.
MOST_READ: Final = 2000
#: A stream that says nothing for so long has ended: it speaks four times a second.
SILENCE_SECONDS: Final = 3.0
#: Seconds between two attempts to open a stream.
AGAIN_SECONDS: Final = 0.5
#: Those that died or left are shown for so long, in seconds.
GONE_SECONDS: Final = 300.0
#: Marks, and ended attempts, that are kept for the next look.
MARKS, ENDED = 100, 500


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
    tasks["pending"] = await _first(lambda cursor: wire.search_tasks("pending", cursor=cursor))
    found = await _first(lambda cursor: wire.search_promises("pending", cursor=cursor))
    promises = {promise.id: promise for promise in found}
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


async def _first[T](
    search: Callable[[str | None], Awaitable[tuple[list[T], str | None]]],
) -> list[T]:
    """Return what the first pages hold; `search` returns a page and the cursor of the next."""
    found, cursor = await search(None)
    while cursor is not None and len(found) < MOST_READ:
        page, cursor = await search(cursor)
        found += page
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


# The steward's stream.


class _Whole(LiveState, frozen=True, kw_only=True):
    """How a stream begins: the state, and the pages of other stewards."""

    peers: list[str] = msgspec.field(default_factory=list)


class StateStream:
    """Follows the steward at `url`, or one of its peers when it is gone, while entered."""

    def __init__(self, url: str | None) -> None:
        self._urls = [url] if url else []
        self._state: LiveState | None = None
        self._asked = threading.Event()

    def __enter__(self) -> Self:
        if self._urls:
            threading.Thread(target=self._follow, name="events", daemon=True).start()
        else:
            self._asked.set()
        return self

    def __exit__(self, *_: object) -> None:
        self._urls = []

    def state(self) -> LiveState | None:
        """Return the state as it is, None where no steward answers."""
        self._asked.wait(SILENCE_SECONDS)
        return self._state

    def _follow(self) -> None:
        while self._urls:
            try:
                events = f"{self._urls[0]}/events"
                with direct().open(events, timeout=SILENCE_SECONDS) as answer:
                    self._hear(answer)
            except (OSError, HTTPException, ValueError):
                pass
            self._state = None
            self._asked.set()
            self._urls = self._urls[1:] + self._urls[:1]
            time.sleep(AGAIN_SECONDS)

    def _hear(self, stream: IO[bytes]) -> None:
        for name, data in _events(stream):
            if name == b"state":
                self._state = whole = msgspec.json.decode(data, type=_Whole)
                self._urls = list(dict.fromkeys([*self._urls[:1], *whole.peers]))
            elif self._state is not None:
                self._state = after(self._state, msgspec.json.decode(data, type=LiveChange))
            self._asked.set()


def _events(stream: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    name = b""
    for line in stream:
        field, _, value = line.rstrip(b"\n").partition(b": ")
        if field == b"event":
            name = value
        elif field == b"data":
            yield name, value


def after(state: LiveState, news: LiveChange) -> LiveState:
    """Return the state that `news` makes of `state`; of what has ended the latest is kept."""
    ended = {(one.task, one.attempt) for one in news.ended}
    running = {one.task: one for one in [*state.running, *news.running]}
    members = {one.member: one for one in [*state.members, *news.members]}
    groups = {one.group: one for one in [*state.groups, *news.groups]}
    return msgspec.structs.replace(
        state,
        at=news.at,
        as_of=news.as_of,
        serving=news.serving,
        complete=news.complete,
        groups=list(groups.values()),
        members=[one for one in members.values() if not _long_gone(one.until, one.state, news.at)],
        running=[one for one in running.values() if (one.task, one.attempt) not in ended],
        parked=state.parked if news.parked is None else news.parked,
        ended=[*state.ended, *news.ended][-ENDED:],
        marks=[*state.marks, *news.marks][-MARKS:],
    )


def _long_gone(until: float | None, state: str, now: float) -> bool:
    return state in ("dead", "left") and (until or now) < now - GONE_SECONDS

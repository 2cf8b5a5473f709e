"""What a look at the server adds up to. Pure.

Counted are tasks, since each needs a member of its group: jobs, and children that were called on
a group of their own choosing. Not counted are timers: a durable sleep has a task on the server
too, which no member has to run.
"""

from collections.abc import Iterable, Mapping

import msgspec

from resonate_fleet.contract.wire import Task

#: Group of tasks whose address names none (pushed over HTTP, say).
OTHER = "other"


class Entry(msgspec.Struct, frozen=True):
    """What a task's promise says for as long as it lives. `created` in Unix seconds."""

    group: str
    created: float
    timer: bool


class Counts(msgspec.Struct):
    """Tasks of one group by state. `oldest` in Unix seconds, None when none waits."""

    waiting: int = 0
    running: int = 0
    suspended: int = 0
    parked: int = 0
    oldest: float | None = None

    def __add__(self, other: "Counts") -> "Counts":
        oldest = [one.oldest for one in (self, other) if one.oldest is not None]
        return Counts(
            waiting=self.waiting + other.waiting,
            running=self.running + other.running,
            suspended=self.suspended + other.suspended,
            parked=self.parked + other.parked,
            oldest=min(oldest, default=None),
        )

    def oldest_age(self, now: float) -> float:
        return 0.0 if self.oldest is None else max(0.0, now - self.oldest)


class View(msgspec.Struct, frozen=True):
    """One look. `at` in Unix seconds; `leases` holds `[task, version]` by member."""

    at: float = 0.0
    groups: dict[str, Counts] = {}
    leases: dict[str, list[tuple[str, int]]] = {}
    parked: list[Task] = []
    #: State of every task that is not over, by id.
    states: dict[str, str] = {}


class Waiting:
    """Since when each pending task has waited.

    A task that nobody has claimed yet has waited since its creation. One that was claimed before
    (handed back, lapsed, resumed) has waited since it was first seen pending under its version:
    a job that slept for a day has not waited for a day.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}

    def since(
        self, tasks: Iterable[Task], entries: Mapping[str, Entry], now: float
    ) -> dict[str, float]:
        found: dict[str, float] = {}
        again: dict[str, tuple[int, float]] = {}
        for task in tasks:
            entry = entries.get(task.id)
            if entry is None:
                continue
            if task.version == 0:
                found[task.id] = entry.created
                continue
            version, at = self._seen.get(task.id, (-1, now))
            found[task.id] = at if version == task.version else now
            again[task.id] = (task.version, found[task.id])
        self._seen = again
        return found


def tally(
    at: float, tasks: Mapping[str, Task], entries: Mapping[str, Entry], since: Mapping[str, float]
) -> View:
    """Add up the live `tasks`; those without an entry are left to the next look."""
    groups: dict[str, Counts] = {}
    leases: dict[str, list[tuple[str, int]]] = {}
    for task in tasks.values():
        if task.state == "acquired" and task.pid is not None:
            leases.setdefault(task.pid, []).append((task.id, task.version))
        entry = entries.get(task.id)
        if entry is not None and not entry.timer:
            _count(groups.setdefault(entry.group, Counts()), task, since.get(task.id))
    return View(
        at=at,
        groups=groups,
        leases=leases,
        parked=[task for task in tasks.values() if task.state == "halted"],
        states={task.id: task.state for task in tasks.values()},
    )


def _count(counts: Counts, task: Task, since: float | None) -> None:
    if task.state == "pending":
        counts.waiting += 1
        if since is not None:
            counts.oldest = since if counts.oldest is None else min(counts.oldest, since)
    elif task.state == "acquired":
        counts.running += 1
    elif task.state == "suspended":
        counts.suspended += 1
    elif task.state == "halted":
        counts.parked += 1

"""Looks at the server: every live task, and the group of each.

Cost of a look: one `task.search` page for each thousand live tasks (and one for each state), one
`promise.get` for each task that was not there at the last look, or, when many are new, one
`promise.search` page for each thousand promises. What is known of a live task is kept, what is
over is forgotten, so memory follows the live tasks alone. The pause between two looks is at
least four times what the shorter of the last two took: with any backlog the server spends about a
fifth of one connection's time on the steward at most.
"""

import asyncio
import time
from collections.abc import Callable

from resonate_fleet.contract.wire import Promise, Task, Wire
from resonate_fleet.contract.words import TAG_TARGET, TAG_TIMER, group_of
from resonate_fleet.steward.tally import OTHER, Entry, View, Waiting, tally

#: More new tasks than this are looked up by pages.
FEW = 64
#: Requests at the same time.
ABREAST = 8
#: Least pause after a look, as a multiple of the time it took.
REST = 4.0

# In the order in which a task mostly moves: one that moves on between two of these requests is
# seen in both, and the later one counts.
STATES = ("pending", "acquired", "suspended", "halted")


class Looks:
    """Looks at one server, and what it remembers between looks."""

    def __init__(self, wire: Wire, now: Callable[[], float] = time.time) -> None:
        self._wire = wire
        self._now = now
        self._entries: dict[str, Entry] = {}
        self._waiting = Waiting()

    async def look(self) -> View:
        """Look once.

        Raises:
            Unreachable, Refused: as the wire does.
        """
        at = self._now()
        tasks: dict[str, Task] = {}
        for state in STATES:
            async for task in self._wire.all_tasks(state):
                tasks[task.id] = task
        await self._learn(sorted(tasks.keys() - self._entries.keys()))
        self._entries = {task: entry for task, entry in self._entries.items() if task in tasks}
        pending = [task for task in tasks.values() if task.state == "pending"]
        since = self._waiting.since(pending, self._entries, at)
        return tally(at, tasks, self._entries, since)

    async def _learn(self, new: list[str]) -> None:
        if len(new) > FEW:
            await self._learn_by_pages(new)
            new = [task for task in new if task not in self._entries][:FEW]
        gate = asyncio.Semaphore(ABREAST)

        async def one(id: str) -> None:
            async with gate:
                promise = await self._wire.promise(id)
            if promise is not None:
                self._entries[id] = entry_of(promise)

        await asyncio.gather(*(one(task) for task in new))

    async def _learn_by_pages(self, new: list[str]) -> None:
        wanted = set(new)
        # The id without its last character sorts just before it, and the search begins after it.
        cursor: str | None = new[0][:-1] or None
        while True:
            page, cursor = await self._wire.search_promises("pending", cursor=cursor)
            self._entries |= {p.id: entry_of(p) for p in page if p.id in wanted}
            if cursor is None or cursor >= new[-1]:
                return


def entry_of(promise: Promise) -> Entry:
    return Entry(
        group=group_of(promise.tags.get(TAG_TARGET, "")) or OTHER,
        created=promise.created_at / 1000,
        timer=promise.tags.get(TAG_TIMER) == "true",
    )

"""Surveys of the server: every live task, and the group of each.

A survey searches each state: one `task.search` page for each thousand live tasks. A task that no
hint and no member has told of costs one `promise.get` more. Where many are new, pages of
`promise.search` replace those. On a server that has finished a million jobs a page takes 0.1 to
0.4 s (SQLite), under the lock that all other requests wait for. So searches are seldom: hints and
members tell of most live tasks.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from resonate_fleet.contract.calls import call_of
from resonate_fleet.contract.wire import Promise, Task, Wire
from resonate_fleet.contract.words import TAG_TARGET, TAG_TIMER, group_of
from resonate_fleet.steward.policy import Attributes, attributes_of

#: States of live tasks. One that moves on during a survey is found in its later state.
STATES = ("pending", "acquired", "suspended", "halted")
#: More new tasks than this are read by pages, as long as the cost of pages is not known.
FEW = 64
#: Most requests at once.
ABREAST = 8
#: Group of tasks whose address names none (pushed over HTTP, say).
OTHER = "other"


class Entry(msgspec.Struct, frozen=True):
    """What a task's promise says; it never changes. `created` in Unix seconds.

    `anyone`: any member of the group may run it; False for timers and for tasks sent to one worker.
    `function` (as `name` or `name@version`) and `attributes` only where promises are read for them.
    """

    group: str
    created: float
    anyone: bool = True
    attributes: Attributes = Attributes()
    function: str = ""


class Seen(msgspec.Struct, frozen=True):
    """What a search begun at `at` (Unix seconds) has found in one state, by id."""

    at: float
    tasks: dict[str, Task] = {}


class Surveyor:
    """Searches one server. `entries`: live tasks; `seen`: the last search of each state.

    `reads` says whether the calls of a group's tasks are to be read.
    """

    def __init__(
        self,
        wire: Wire,
        now: Callable[[], float] = time.time,
        reads: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._wire = wire
        self._now = now
        self._reads = reads
        self.entries: dict[str, Entry] = {}
        self.seen = {state: Seen(0.0) for state in STATES}
        #: Seconds that the last read of one promise took, and the last read by pages.
        self._promise_took = self._pages_took = 0.0

    @property
    def at(self) -> float:
        """When the oldest of the last searches began, Unix seconds; 0 before the first survey."""
        return min(seen.at for seen in self.seen.values())

    def state(self, task: str) -> str | None:
        """Return the state in which a task was seen; of several the last one in `STATES`."""
        states = (state for state in reversed(STATES) if task in self.seen[state].tasks)
        return next(states, None)

    async def search(
        self, state: str, found: Callable[[list[Task]], None] = lambda _: None
    ) -> Seen:
        """Find all tasks in `state`; `found` gets each page as it comes.

        Raises:
            Unreachable, Refused: as the wire does.
        """
        at, tasks = self._now(), dict[str, Task]()
        async for page in self._wire.task_pages(state):
            await self._learn([task.id for task in page])
            found(page)
            tasks |= {task.id: task for task in page}
        self.seen[state] = Seen(at, tasks)
        return self.seen[state]

    def note(self, task: str, group: str) -> None:
        """Note a task that a hint or a member tells of, so that no search has to read it."""
        if not self._reads(group):
            self.entries.setdefault(task, Entry(group, self._now()))

    def prune(self, lives: Callable[[str, Entry], bool]) -> None:
        """Forget tasks that no search has shown and that `lives` does not know."""
        self.entries = {t: e for t, e in self.entries.items() if self.state(t) or lives(t, e)}

    def group_of(self, task: str) -> str:
        """Return the group of a task, `OTHER` where it is not known."""
        entry = self.entries.get(task)
        return entry.group if entry else OTHER

    def _note_promise(self, promise: Promise) -> None:
        target = promise.tags.get(TAG_TARGET, "")
        group = group_of(target) or OTHER
        anyone = target.startswith("poll://any@") and promise.tags.get(TAG_TIMER) != "true"
        entry = Entry(group, promise.created_at / 1000, anyone)
        if self._reads(group) and (call := call_of(promise)) is not None:
            found = attributes_of(promise.tags, call.func)
            entry = msgspec.structs.replace(entry, attributes=found, function=call.label)
        self.entries[promise.id] = entry

    async def learn_anew(self, tasks: list[str]) -> None:
        """Read the promises of `tasks`, also where they are known.

        Raises:
            Unreachable, Refused: as the wire does.
        """
        for task in tasks:
            self.entries.pop(task, None)
        await self._learn(tasks)

    async def _learn(self, tasks: list[str]) -> None:
        new = sorted(task for task in tasks if task not in self.entries)
        if self.pages_pay(len(new)):
            await self._learn_by_pages(new)
            new = [task for task in new if task not in self.entries][:FEW]
        gate = asyncio.Semaphore(ABREAST)

        async def one(id: str) -> None:
            async with gate:
                began = self._now()
                promise = await self._wire.promise(id)
                self._promise_took = self._now() - began
            if promise is not None:
                self._note_promise(promise)

        await asyncio.gather(*(one(task) for task in new))

    def pages_pay(self, new: int) -> bool:
        """Say whether pages are faster for so many. A page walks through all finished promises."""
        if not self._pages_took or not self._promise_took:
            return new > FEW
        return new > max(ABREAST, self._pages_took / self._promise_took)

    async def _learn_by_pages(self, new: list[str]) -> None:
        wanted, began = set(new), self._now()
        async for page in self._wire.promise_pages("pending", among=new):
            for promise in page:
                if promise.id in wanted:
                    self._note_promise(promise)
        self._pages_took = self._now() - began

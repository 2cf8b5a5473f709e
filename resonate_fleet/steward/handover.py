"""Takes the leases of the dead and gives their jobs back to the server.

Nothing here can harm a job whose holder lives after all: `task.release` names the version that
was seen, and the server refuses it when the task has moved on; and it refuses the holder's own
late write when the release came first. So at most one result is ever written, and the worst that
an error of judgement costs is work done twice (docs/guarantees.md).
"""

import asyncio
from collections.abc import Iterable, Mapping

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.journal import Died, HandedOver
from resonate_fleet.contract.wire import Task
from resonate_fleet.steward.parking import Parking
from resonate_fleet.steward.tools import Tools, set_within

#: Pauses between the looks at what a dead member holds, in seconds: a claim may have been on the
#: wire when it died.
AGAIN = (0.2, 0.8, 2.0)
#: Requests at the same time.
ABREAST = 32
#: States in which a task on trial has not shown its outcome yet.
RUNNABLE = ("pending", "acquired")


class Death:
    """A member that is missed. `ended_at` in Unix seconds; `back` is set when it returns."""

    def __init__(self, member: str, ended_at: float) -> None:
        self.member = member
        self.ended_at = ended_at
        self.back = asyncio.Event()
        #: Its leases were looked up and are being released: from here on it counts as dead.
        self.declared = False
        #: `[task, version]` of what it lost.
        self.taken: list[tuple[str, int]] = []
        self.task: asyncio.Task[None] | None = None


class Handover:
    """`grace` in seconds: how long a missed member may take to come back."""

    def __init__(self, tools: Tools, parking: Parking, grace: float) -> None:
        self._tools = tools
        self._parking = parking
        self._grace = grace
        self._gate = asyncio.Semaphore(ABREAST)
        #: By the task on trial: the leases that wait for its outcome.
        self._held_back: dict[str, list[Task]] = {}

    async def run(self, death: Death, *, witnessed: bool) -> None:
        """Hand over what `death.member` held, unless it comes back before.

        `witnessed` False is for a member that a steward before this one knew: nobody saw it end,
        there is no grace left to give, and it is only worth a word if it left something.
        """
        if witnessed and await set_within(death.back, self._grace):
            return
        held = await self._held(death)
        if held is None or not (held or witnessed):
            return
        death.declared = True
        self._tools.meters.deaths.inc()
        tasks = [(task.id, task.version) for task in held]
        self._tools.journal.write(Died(member=death.member, tasks=tasks), level=30)
        await self._deal(death, held)
        for pause in AGAIN:
            if await set_within(death.back, pause):
                return
            await self._release_all(death, await self._held(death) or [])

    async def _held(self, death: Death) -> list[Task] | None:
        """Return what stands under the dead member's name, or None once it is back."""

        async def ask() -> list[Task]:
            acquired = self._tools.wire.all_tasks("acquired")
            return [task async for task in acquired if task.pid == death.member]

        return await self._tools.insist(ask, "hand-over", death.back)

    async def _deal(self, death: Death, held: list[Task]) -> None:
        judgement = self._parking.judge(death.member, held)
        by_id = {task.id: task for task in held}
        if judgement.trial is not None:
            self._held_back[judgement.trial] = [by_id[one] for one in judgement.hold_back]
        await asyncio.gather(
            *(self._park(death, by_id[one]) for one in judgement.park),
            self._release_all(death, [by_id[one] for one in judgement.release]),
        )
        if held:
            spent = self._tools.now() - death.ended_at
            self._tools.meters.handover.observe(spent)

    async def _park(self, death: Death, task: Task) -> None:
        if not death.back.is_set():
            death.taken.append((task.id, task.version))
            await self._parking.park(task)

    async def _release_all(self, death: Death, tasks: Iterable[Task]) -> None:
        free = [task for task in tasks if not self._is_held_back(task)]
        await asyncio.gather(*(self._release(death, task) for task in free))

    async def _release(self, death: Death, task: Task) -> None:
        async with self._gate:
            if death.back.is_set():
                return
            # Listed whatever the answer: after any answer the member does not hold it so any more.
            death.taken.append((task.id, task.version))
            released = await self._tools.insist(
                lambda: self._tools.wire.release(task.id, task.version), "hand-over", death.back
            )
        if not released:
            return
        self._tools.meters.handovers.inc()
        line = HandedOver(
            job=root_of(task.id),
            task=task.id,
            attempt=task.version,
            member=death.member,
            seconds=round(self._tools.now() - death.ended_at, 6),
        )
        self._tools.journal.write(line)

    # After the first minutes.

    async def release_late(self, task: Task, ended_at: float) -> None:
        """Release a lease that turned up under the name of one that is gone."""
        await self._release_all(Death(task.pid or "", ended_at), [task])

    async def pardon(self, member: str) -> None:
        """`member` lives: its jobs are not to blame, and what was held back is its own again."""
        for trial, leases in self._held_back.items():
            self._held_back[trial] = [task for task in leases if task.pid != member]
        await self._parking.pardon(member)

    async def follow_up(self, states: Mapping[str, str]) -> None:
        """Release the next of those held back where a look shows a trial to be over."""
        for trial in [one for one in self._held_back if states.get(one) not in RUNNABLE]:
            waiting = self._held_back.pop(trial)
            if waiting:
                first, rest = waiting[0], waiting[1:]
                self._held_back[first.id] = rest
                await self.release_late(first, self._tools.now())

    def _is_held_back(self, task: Task) -> bool:
        waiting = (one for leases in self._held_back.values() for one in leases)
        return any((one.id, one.version) == (task.id, task.version) for one in waiting)

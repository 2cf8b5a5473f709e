"""Takes the leases of the dead and gives their jobs back to the server.

This does no harm to a holder that still lives. `task.release` names the version of its claim; the
server refuses the release when the task has moved on. When the release comes first, the server
refuses the holder's late write. So at most one result is written, and an error of judgement costs
work done twice at worst (docs/guarantees.md).
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.journal import Died, HandedOver
from resonate_fleet.contract.loops import set_within
from resonate_fleet.contract.wire import Task
from resonate_fleet.steward.attempts import Latest
from resonate_fleet.steward.parking import Parking
from resonate_fleet.steward.tools import Tools

#: Pauses between the reads of tasks that were assigned to a dead member, in seconds: its claim may
#: have been on the wire when it died.
AGAIN = (0.2, 0.8, 2.0)
#: How long a steward that no member offers slots waits before it handles a death, in seconds: the
#: missed member may have lost its connection to this steward alone. It stops waiting when members
#: offer it slots.
STANDBY_SECONDS = 10.0
#: Most requests at once.
ABREAST = 32
#: States of a task on trial whose outcome is not known yet.
RUNNABLE = ("pending", "acquired")


@dataclass(eq=False)
class Death:
    """A member that is missed. `ended_at` in Unix seconds; `back` is set when it returns.

    `unanswered` are tasks that were assigned to it and that it may have claimed. `serving` is set
    while members of its group offer their slots to this steward.
    """

    member: str
    ended_at: float
    unanswered: Sequence[str] = ()
    serving: asyncio.Event = field(default_factory=asyncio.Event)
    back: asyncio.Event = field(default_factory=asyncio.Event)
    #: It counts as dead: its leases are being released.
    declared: bool = False
    #: Its jobs have been blamed.
    blamed: bool = False
    #: `[task, attempt]` of what it lost.
    taken: list[tuple[str, int]] = field(default_factory=list)
    handing_over: asyncio.Task[None] | None = None


class Handover:
    """What is done when the grace of a missed member is out.

    This steward serves if members offer it their slots.

    | it serves | the missed one holds | what is done |
    |---|---|---|
    | yes | something | it is declared dead; its leases are released, or their jobs parked |
    | yes | nothing | it is declared dead |
    | no, for 10 s | something | as above: no other steward has acted |
    | no, for 10 s | nothing any more | another has handed it over: the crash is counted here too |
    """

    def __init__(self, tools: Tools, parking: Parking) -> None:
        self._tools = tools
        self._parking = parking
        self._gate = asyncio.Semaphore(ABREAST)
        self._deaths: Latest[Death] = Latest()
        #: The leases that wait for the outcome of a trial, by the task on trial.
        self._held_back: dict[str, list[Task]] = {}
        self._search: asyncio.Task[list[Task] | None] | None = None

    async def run(self, death: Death) -> None:
        """Hand over what `death.member` held, unless it comes back before."""
        self._deaths.note(death.member, death)
        reported = self._reported(death)
        if await set_within(self._tools.grace, death.back):
            return
        await set_within(STANDBY_SECONDS, death.serving, death.back)
        held = await self._held(death)
        if death.back.is_set():
            return
        # What it held when it was missed and holds no more: another steward has handed it over.
        moved = [one for one in reported if one.id not in {task.id for task in held}]
        if held or death.serving.is_set():
            await self._declare(death, held, moved)
        elif moved:  # the crash is counted here too: this steward may be the one to park, later
            death.blamed = True
            self._parking.judge(death.member, moved)
        # A claim of an assigned task may reach the server after the death was seen.
        for pause in AGAIN:
            if await set_within(pause, death.back):
                return
            await self._release_all(death, await self._still(death, death.unanswered))

    async def run_unseen(self, death: Death) -> None:
        """Hand over what is left of a member that a steward before this one knew.

        Its grace is over, and its leases are known to the server alone.
        """
        self._deaths.note(death.member, death)
        held = [task for task in await self._acquired() if task.pid == death.member]
        if held and not death.back.is_set():
            await self._declare(death, held)

    async def _acquired(self) -> list[Task]:
        """Search for all held tasks, once for all callers that wait for it."""

        async def ask() -> list[Task]:
            return [task async for task in self._tools.wire.all_tasks("acquired")]

        if self._search is None or self._search.done():
            self._search = asyncio.create_task(self._tools.insist(ask, "hand-over"))
        return await asyncio.shield(self._search) or []

    async def _held(self, death: Death) -> list[Task]:
        """Return what the member holds: by its reports, or by the server if they may be old."""
        reported = self._reported(death)
        names = [one.id for one in reported]
        if not death.serving.is_set():
            return await self._still(death, names)
        return reported + await self._still(death, [t for t in death.unanswered if t not in names])

    def _reported(self, death: Death) -> list[Task]:
        return [
            Task(id=one.task, state="acquired", version=one.attempt, pid=death.member)
            for one in self._tools.attempts.held_by(death.member)
        ]

    async def _still(self, death: Death, tasks: Sequence[str]) -> list[Task]:
        """Return those of `tasks` whose lease is the member's."""

        async def ask(id: str) -> Task | None:
            async with self._gate:
                return await self._tools.insist(
                    lambda: self._tools.wire.task(id), "hand-over", death.back
                )

        found = await asyncio.gather(*map(ask, tasks))
        return [one for one in found if one is not None and one.pid == death.member]

    async def _declare(self, death: Death, held: list[Task], moved: Sequence[Task] = ()) -> None:
        """Declare the member dead. `moved`: what another steward has handed over already."""
        death.declared = death.blamed = True
        self._tools.meters.deaths.inc()
        tasks = [(task.id, task.version) for task in held]
        self._tools.journal.write(Died(member=death.member, tasks=tasks), level=30)
        self._tools.attempts.mark(self._tools.now(), "died", death.member)
        judgement = self._parking.judge(death.member, [*held, *moved])
        by_id = {task.id: task for task in held}

        def ours(tasks: Iterable[str]) -> list[Task]:
            return [by_id[one] for one in tasks if one in by_id]

        free = ours(judgement.release)
        if judgement.trial in by_id:
            self._held_back[judgement.trial] = ours(judgement.hold_back)
        else:
            free += ours(judgement.hold_back)  # another steward decides on the trial
        await asyncio.gather(
            *(self._park(death, one) for one in ours(judgement.park)),
            self._release_all(death, free),
        )
        if held:
            self._tools.meters.handover_duration_seconds.observe(self._tools.now() - death.ended_at)

    async def _park(self, death: Death, task: Task) -> None:
        if not death.back.is_set():
            death.taken.append((task.id, task.version))
            await self._parking.park(task)

    async def _release_all(self, death: Death, tasks: Iterable[Task]) -> None:
        held_back = {(one.id, one.version) for some in self._held_back.values() for one in some}
        free = [task for task in tasks if (task.id, task.version) not in held_back]
        await asyncio.gather(*(self._release(death, task) for task in free))

    async def _release(self, death: Death, task: Task) -> None:
        async with self._gate:
            if death.back.is_set():
                return
            # After any answer the member does not hold this version any more.
            death.taken.append((task.id, task.version))
            # Noted before the server's hint can come, so that the job keeps its turn.
            self._tools.attempts.over(self._tools.now(), task.id, task.version, "died")
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
        self._tools.attempts.mark(self._tools.now(), "handed-over", death.member, task.id)

    async def release_late(self, task: Task, ended_at: float) -> None:
        """Release a lease that was found later, of a member that is dead or has left."""
        # The death may be known: if the member comes back it hears of this lease too.
        death = self._deaths.get(task.pid or "") or Death(task.pid or "", ended_at)
        await self._release_all(death, [task])

    async def pardon(self, member: str) -> None:
        """Blame the jobs of `member` no more: it lives and keeps leases that were held back."""
        for trial, leases in self._held_back.items():
            self._held_back[trial] = [task for task in leases if task.pid != member]
        await self._parking.pardon(member)

    async def follow_up(self) -> None:
        """Release the next lease of each trial that is over.

        Raises:
            Unreachable, Refused: as the wire does.
        """
        for trial in list(self._held_back):
            task = await self._tools.wire.task(trial)
            if task is None or task.state not in RUNNABLE:
                await self.end_trial(trial)

    async def end_trial(self, trial: str) -> None:
        """Release the next lease that was held back for `trial`; its task is the next trial."""
        if waiting := self._held_back.pop(trial, None):
            first = waiting.pop(0)
            self._held_back[first.id] = waiting
            await self.release_late(first, self._tools.now())

    def is_trial(self, task: str) -> bool:
        return task in self._held_back

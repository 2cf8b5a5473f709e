"""Who lives and who died, and what follows from it.

A member whose presence ends without goodbye gets a short grace: it may only have lost the
connection. Then it is taken for dead, and what it held is handed over (`steward.handover`). When
it comes back under the same name it never was dead: it is told what it lost, and the crash that
its jobs were blamed for is taken back.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import structlog

from resonate_fleet.contract.journal import FalseAlarm, Joined, Left
from resonate_fleet.contract.presence import FromMember, FromSteward, Hello, Hint, Released
from resonate_fleet.contract.wire import Task
from resonate_fleet.steward.exchange import Exchange
from resonate_fleet.steward.handover import Death, Handover
from resonate_fleet.steward.presence import Seat
from resonate_fleet.steward.state import Known
from resonate_fleet.steward.tools import Tools

#: How many of the gone are remembered; the oldest are forgotten.
GONE = 10_000
#: The state file is written at most this often for comings and goings, in seconds.
SAVE_EVERY = 0.1
#: A stopping steward gives hand-overs under way this long, in seconds.
STOP_SECONDS = 3.0


class Lives:
    """Keeps the roll of members. All but `roll` is to be called on the event loop."""

    def __init__(self, tools: Tools, handover: Handover) -> None:
        self.present: dict[str, Seat] = {}
        self._tools = tools
        self._memory = tools.memory
        self._handover = handover
        self._exchange = Exchange[Seat]()
        self._deaths: dict[str, Death] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone: dict[str, float] = {}
        self._dirty = asyncio.Event()

    # What presence tells.

    async def came(self, seat: Seat) -> list[FromSteward]:
        member, group = seat.hello.member, seat.hello.group
        before = self.present.get(member)
        self.present[member] = seat
        if before is not None:
            self._exchange.left(before)
            before.close()  # the old connection is a dead one that nobody has noticed yet
        self._gone.pop(member, None)
        if self._memory.members.get(member) != Known(group, seat.hello.slots):
            self._memory.members[member] = Known(group, seat.hello.slots)
            self._dirty.set()
        death = self._deaths.pop(member, None)
        if death is None:
            if before is None:
                self._tools.journal.write(Joined(member=member, group=group))
            return []
        return await self._back(death)

    def heard(self, seat: Seat, message: FromMember) -> tuple[Seat, Hint] | None:
        if self.present.get(seat.hello.member) is not seat:
            return None  # it sits on a newer connection already
        found = self._exchange.heard(self._tools.now(), seat, message)
        if found is not None:
            self._tools.meters.hints_passed.inc()
        return found

    def left(self, seat: Seat) -> None:
        if self._stands_up(seat):
            self._forget(seat.hello.member)
            self._tools.journal.write(Left(member=seat.hello.member))

    def ended(self, seat: Seat) -> None:
        if self._stands_up(seat):
            self._take_for_dead(seat.hello.member, witnessed=True)

    def _stands_up(self, seat: Seat) -> bool:
        self._exchange.left(seat)
        member = seat.hello.member
        if self.present.get(member) is not seat:
            return False  # it sits on a newer connection already
        del self.present[member]
        return True

    # Death and return.

    def missing(self) -> None:
        """Take for dead whoever the last steward knew and who has not come back to this one."""
        for member in list(self._memory.members):
            if member not in self.present and member not in self._deaths:
                self._take_for_dead(member, witnessed=False)

    def _take_for_dead(self, member: str, *, witnessed: bool) -> None:
        death = Death(member, ended_at=self._tools.now())
        self._deaths[member] = death
        while len(self._deaths) > GONE:
            self._deaths.pop(next(iter(self._deaths)))
        task = asyncio.create_task(self._bury(death, witnessed=witnessed))
        death.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bury(self, death: Death, *, witnessed: bool) -> None:
        try:
            await self._handover.run(death, witnessed=witnessed)
        except Exception:  # noqa: BLE001 - a defect of ours: the sweep does what is left
            structlog.get_logger().exception("hand-over.failed", member=death.member)
            self._tools.meters.errors.labels("hand-over").inc()
        if not death.back.is_set():
            self._forget(death.member)

    async def _back(self, death: Death) -> list[FromSteward]:
        """A member that was missed is here again."""
        death.back.set()
        if death.task is not None:
            # What is being released right now is let finish, so that the member hears of it.
            await death.task
        if not death.declared:
            return []
        self._tools.meters.false_alarms.inc()
        self._tools.journal.write(FalseAlarm(member=death.member), level=30)
        await self._handover.pardon(death.member)
        return [Released(tasks=death.taken)] if death.taken else []

    def _forget(self, member: str) -> None:
        self._memory.members.pop(member, None)
        self._gone[member] = self._tools.now()
        while len(self._gone) > GONE:
            self._gone.pop(next(iter(self._gone)))
        self._dirty.set()

    # Between times.

    async def sweep(self, leases: Mapping[str, list[tuple[str, int]]]) -> None:
        """Release what still stands under the name of one that is gone; `leases` by member.

        A claim may have been on the wire when its member died, and a member that said goodbye
        may not have reached the server before. Names are never used twice, so this is safe.
        """
        for member in leases.keys() & self._gone.keys():
            since = self._gone.get(member, self._tools.now())
            for job, version in leases[member]:
                task = Task(id=job, state="acquired", version=version, pid=member)
                if member in self._gone:  # it may have come back while we were at it
                    await self._handover.release_late(task, since)

    async def keep_saving(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            self._tools.save()
            await asyncio.sleep(SAVE_EVERY)

    async def stop(self) -> None:
        """Let hand-overs finish for a moment; the rest is in the state file for the next start."""
        if self._tasks:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await asyncio.gather(*self._tasks, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        self._tools.save()

    def roll(self) -> dict[str, Hello]:
        """Return who is present. May be called from any thread."""
        return {member: seat.hello for member, seat in self.present.copy().items()}

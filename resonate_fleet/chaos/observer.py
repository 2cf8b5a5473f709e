"""Observes a run through the server alone: who holds what, how far it is, what has ended."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from resonate_fleet.chaos.triggers import HeldLease, RunState
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.run import Plan, PlannedJob, Record, Records
from resonate_fleet.contract.wire import Promise, Task, Unreachable, Wire

#: A task and the version of its claim.
type Lease = tuple[str, int]

#: Jobs without a lease that are asked for in one reading, in turn.
SWEEP: Final = 2


class RunObserver:
    """Observes a load that begins now; remembers earlier readings, so that each costs few requests.

    A lease's age is counted from the last reading that did not see it yet, never from a member's
    clock: after a time without readings, as while the server was away, it counts as old, since its
    member may have given it up meanwhile.
    """

    def __init__(self, wire: Wire, plan: Plan, now: Callable[[], float] = time.monotonic) -> None:
        self._wire = wire
        self._now = now
        self._jobs = {job.id: job for job in plan.jobs}
        self._open = dict.fromkeys(self._jobs)
        self._first_seen: dict[Lease, float] = {}
        self._steps: dict[str, int] = {}
        self._began = self._last = now()

    async def held(self) -> list[Task]:
        """Return the run's acquired tasks just now."""
        held = [task async for task in self._wire.all_tasks("acquired")]
        return [task for task in held if root_of(task.id) in self._jobs]

    async def held_by(self, member: str) -> list[Lease]:
        return [(task.id, task.version) for task in await self.held() if task.pid == member]

    async def held_after(self, before: list[Lease], member: str) -> list[Lease]:
        """Return what a member held when a strike had taken hold.

        That is what it held `before` and did not finish meanwhile, and what it holds now. Where
        the server does not answer it counts as held.
        """
        held: list[Lease] = []
        for task, version in before:
            found = None
            with suppress(Unreachable):
                found = await self._wire.task(task)
            if found is None or (found.state, found.version) != ("fulfilled", version):
                held.append((task, version))
        with suppress(Unreachable):
            held += await self.held_by(member)
        return list(dict.fromkeys(held))

    async def observe(self) -> RunState:
        """Return how things stand.

        Raises:
            Unreachable: the server does not answer.
        """
        held = await self.held()
        now = self._now()
        working = {root_of(task.id) for task in held}
        await self._note_ended(working)
        leases = {(task.id, task.version) for task in held}
        self._first_seen = {key: at for key, at in self._first_seen.items() if key in leases}
        holds = [await self._hold(task, now) for task in held if task.pid]
        self._last = now
        return RunState(
            elapsed=now - self._began,
            total=len(self._jobs),
            holds=tuple(holds),
            ended=frozenset(self._jobs.keys() - self._open.keys()),
        )

    async def _note_ended(self, working: set[str]) -> None:
        """Take off the list what has ended: first what was held before, then in turn."""
        before = {root_of(key[0]) for key in self._first_seen}
        asked = [job for job in before - working if job in self._open]
        idle = [job for job in self._open if job not in working and job not in before]
        for job in [*asked, *idle[:SWEEP]]:
            self._open.pop(job)
            if not await self._ended(job):
                self._open[job] = None  # to the end of the line

    async def _ended(self, job: str) -> bool:
        """Say whether a job has its result or is parked."""
        promise = await self._wire.promise(job)
        if promise is None or promise.state != "pending":
            return promise is not None
        task = await self._wire.task(job)
        return task is not None and task.state == "halted"

    async def _hold(self, task: Task, now: float) -> HeldLease:
        since = self._first_seen.setdefault((task.id, task.version), self._last)
        part = await self._part(self._jobs[root_of(task.id)], now - since)
        return HeldLease(task=task.id, version=task.version, member=task.pid or "", part=part)

    async def _part(self, job: PlannedJob, age: float) -> float:
        """Steps done, where the job has steps, else the lease's age against the cost."""
        if job.steps == 0:
            return min(age / job.cost, 1.0) if job.cost else 1.0
        done = self._steps.get(job.id, 0)
        while done < job.steps and await self._step_done(f"{job.id}:{done + 1}"):
            done += 1
        self._steps[job.id] = done
        return done / job.steps

    async def _step_done(self, step: str) -> bool:
        promise = await self._wire.promise(step)
        return promise is not None and promise.state != "pending"


async def records(wire: Wire, plan: Plan, server: str) -> Records:
    """Return what the server says of the run's jobs and of their children.

    Raises:
        Unreachable: the server does not answer.
    """
    wanted = {job.id for job in plan.jobs}
    promises: list[Promise] = []
    async for page in wire.promise_pages():
        promises += [promise for promise in page if root_of(promise.id) in wanted]
    states = ("pending", "acquired", "suspended", "fulfilled", "halted")
    tasks = {
        task.id: task
        for state in states
        async for task in wire.all_tasks(state)
        if root_of(task.id) in wanted  # a store may hold a million others
    }
    both = [Record(promise=promise, task=tasks.get(promise.id)) for promise in promises]
    return Records(at=time.time(), server=server, records=both)

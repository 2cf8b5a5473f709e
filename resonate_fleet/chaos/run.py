"""Drives one run: the load goes out, strikes fall when they are due, the records are collected."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Final

import msgspec
import structlog

from resonate_fleet.chaos.observer import RunObserver, records
from resonate_fleet.chaos.place import AnyAdapter, PlaceFailed
from resonate_fleet.chaos.plan import Script
from resonate_fleet.chaos.scenario import StrikeOrder, When
from resonate_fleet.chaos.striking import Striker
from resonate_fleet.contract.journal import RunEnded, RunStarted
from resonate_fleet.contract.options import write
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.run import Plan, PlannedStrike, RunFolder
from resonate_fleet.contract.wire import Unreachable, Wire

#: Seconds between two readings of the server: a few hundredths of a job's usual cost.
POLL_SECONDS: Final = 0.02
#: Longest wait, after the end, for the server to say what happened.
RECORDS_SECONDS: Final = 15.0

#: Takes a line for people.
Print = Callable[[str], None]


def log_nothing() -> None:
    """Keep the screen for what is printed: the journals have everything."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        cache_logger_on_first_use=False,
    )


def new_folder(runs: Path, name: str) -> RunFolder:
    """Return a folder of this run's own that is not there yet."""
    begin = f"{name}-{time.strftime('%m%d-%H%M%S')}"
    names = chain([begin], (f"{begin}-{number}" for number in count(2)))
    return RunFolder(next(runs / one for one in names if not (runs / one).exists()))


def write_plan(folder: RunFolder, plan: Plan) -> None:
    """Begin a run folder."""
    folder.root.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(plan), indent=2)
    write(folder.plan, text + b"\n")


class Runner:
    """One run of a plan at a place. `show` gets a line for people whenever something happens.

    `lead`: seconds between the start of the fleet and the load, for whoever watches to find it.
    """

    def __init__(
        self,
        script: Script,
        adapter: AnyAdapter,
        folder: RunFolder,
        show: Print,
        lead: float = 0.0,
    ) -> None:
        self._script = script
        self._lead = lead
        self._plan = script.plan
        self._adapter = adapter
        self._folder = folder
        self._show = show
        self._journal = Journal("chaos", folder.journal)
        self._striker = Striker(script.orders, adapter, self._journal, self._say)
        self._began = time.monotonic()

    async def drive(self) -> bool:
        """Do it all; return whether every job ended before the deadline.

        Raises:
            PlaceFailed: the fleet could not be brought up.
            Unreachable: the server does not answer at the end.
        """
        plan = self._plan
        self._journal.write(RunStarted(scenario=plan.scenario, seed=plan.seed, place=plan.place))
        try:
            await self._adapter.start(plan, self._folder)
            self._say("fleet", f"{plan.members} members are up at {self._adapter.url}")
            async with Wire(self._adapter.url, self._adapter.token, timeout=5.0) as wire:
                await self._must_be_new(wire)
                await asyncio.sleep(self._lead)
                finished = await self._until_over(wire)
                await self._collect(wire)
        finally:
            await self._adapter.stop()
            self._journal.close()
        return finished

    @property
    def plan(self) -> Plan:
        """The plan, with the kills that were added."""
        return self._plan

    def kill(self, job: str) -> None:
        """Kill the member that holds `job`, as one more strike of the plan."""
        plan, number = self._plan, len(self._plan.strikes)
        order = StrikeOrder(strike=number, fault="kill", when=When(part=0.0), job=job)
        strike = PlannedStrike(
            strike=number, fault="kill", trigger="when asked for", target=f"the member of {job}"
        )
        most = plan.guarantees.redone
        limits = msgspec.structs.replace(
            plan.guarantees, redone=None if most is None else most + plan.slots
        )
        self._plan = msgspec.structs.replace(
            plan, strikes=[*plan.strikes, strike], guarantees=limits
        )
        self._striker.add(order)

    async def _must_be_new(self, wire: Wire) -> None:
        """Refuse jobs that the server has from an earlier run: they would not be done again."""
        for job in self._plan.jobs[:1]:
            if await wire.promise(job.id) is not None:
                raise PlaceFailed(f"{job.id} is on this server already; --tag makes new ids")

    async def _until_over(self, wire: Wire) -> bool:
        """Do load and strikes; of several failures at once the first is raised."""
        try:
            finished = await self._load_and_strike(wire)
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        self._striker.write_off()
        self._journal.write(RunEnded(finished=finished))
        self._say("end", "every job has ended" if finished else "given up at the deadline")
        return finished

    async def _load_and_strike(self, wire: Wire) -> bool:
        observer = RunObserver(wire, self._plan)
        observer.begin()
        self._began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            client = group.create_task(self._submit())
            finished = await self._until_the_end(observer, group)
            if not finished:
                client.cancel()
                self._striker.give_up()
        return finished

    async def _submit(self) -> None:
        code = await self._adapter.submit(self._script.client)
        self._say("client", f"sent {len(self._plan.jobs)} jobs, exit code {code}")

    async def _until_the_end(self, observer: RunObserver, group: asyncio.TaskGroup) -> bool:
        """Strike what is due until all jobs have ended and all strikes are healed."""
        while time.monotonic() - self._began < self._plan.deadline:
            with suppress(Unreachable):  # the server may be what was struck
                snapshot = await observer.observe()
                self._striker.consider(snapshot, observer, group)
                if snapshot.done >= snapshot.total and self._striker.over:
                    return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    def _say(self, what: str, words: str) -> None:
        self._show(f"{time.monotonic() - self._began:7.2f} s  {what:<15} {words}")

    async def _collect(self, wire: Wire) -> None:
        await self._adapter.end_members()
        await wire.wait_ready(RECORDS_SECONDS)
        found = await records(wire, self._plan, self._adapter.url)
        write(self._folder.server, msgspec.json.encode(found) + b"\n")
        await self._adapter.collect(self._folder)

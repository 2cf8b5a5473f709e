"""Drives one run: sends the load, does the strikes that are due, and collects the records."""

import asyncio
import itertools
import logging
import math
import shlex
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from resonate_fleet.chaos.observer import RunObserver, records
from resonate_fleet.chaos.place import AnyAdapter, PlaceFailed
from resonate_fleet.chaos.plan import Script
from resonate_fleet.chaos.scenario import StrikeOrder, When
from resonate_fleet.chaos.striking import Striker
from resonate_fleet.contract.faults import AT_THE_FLEET
from resonate_fleet.contract.journal import RunEnded, RunStarted
from resonate_fleet.contract.paths import write
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
    """Make a folder that is this run's own, also where another run begins in the same second."""
    begin = f"{name}-{time.strftime('%m%d-%H%M%S')}"
    runs.mkdir(parents=True, exist_ok=True)
    folder, number = runs / begin, 1
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            folder = runs / f"{begin}-{number}"
        else:
            return RunFolder(folder)


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
        self, script: Script, adapter: AnyAdapter, folder: RunFolder, show: Print, lead: float = 0
    ) -> None:
        self._script = script
        self._lead = lead
        #: The plan, with the kills that were added.
        self.plan = script.plan
        self._adapter = adapter
        self._folder = folder
        self._show = show
        self._journal = Journal("chaos", folder.journal)
        self._orders = list(script.orders)
        self._began = time.monotonic()

    async def drive(self) -> bool:
        """Do the whole run; return whether every job ended before the deadline.

        Raises:
            PlaceFailed: the fleet could not be brought up, or the client failed.
            Unreachable: the server does not answer at the end.
        """
        plan = self.plan
        self._journal.write(RunStarted(scenario=plan.scenario, seed=plan.seed, place=plan.place))
        try:
            await self._adapter.start(plan, self._folder)
            self._say("fleet", f"{plan.members} members are up at {self._adapter.url}")
            async with Wire(self._adapter.url, self._adapter.token, timeout=5.0) as wire:
                # Jobs of an earlier run would not be done again.
                if known := [job.id for job in plan.jobs[:1] if await wire.promise(job.id)]:
                    raise PlaceFailed(f"{known[0]} is on this server already; --tag makes new ids")
                await asyncio.sleep(self._lead)
                finished = await self._until_over(wire)
                await self._adapter.end_members()
                await wire.wait_ready(RECORDS_SECONDS)
                found = await records(wire, plan, self._adapter.url)
                write(self._folder.server, msgspec.json.encode(found) + b"\n")
                await self._adapter.collect(self._folder)
        finally:
            await self._adapter.stop()
            self._journal.close()
        return finished

    def kill(self, job: str) -> None:
        """Kill the member that holds `job`, as one more strike of the plan."""
        plan, number = self.plan, len(self.plan.strikes)
        self._orders.append(StrikeOrder(strike=number, fault="kill", when=When(part=0.0), job=job))
        strike = PlannedStrike(
            strike=number, fault="kill", trigger="when asked for", target=f"the member of {job}"
        )
        most = plan.guarantees.redone
        limits = replace(plan.guarantees, redone=None if most is None else most + plan.slots)
        self.plan = replace(plan, strikes=[*plan.strikes, strike], guarantees=limits)

    async def _until_over(self, wire: Wire) -> bool:
        """Do load and strikes; of several failures at once the first is raised."""
        observer = RunObserver(wire, self.plan)
        self._began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                striker = Striker(
                    self._orders, self._adapter, observer, group, self._journal, self._say
                )
                client = group.create_task(self._submit())
                finished = await self._until_the_end(observer, striker)
                if not finished:
                    client.cancel()
                    striker.give_up()
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        striker.write_off()
        self._journal.write(RunEnded(finished=finished))
        self._say("end", "every job has ended" if finished else "given up at the deadline")
        return finished

    async def _submit(self) -> None:
        await self._adapter.submit(self._script.client)
        self._say("client", f"sent {len(self.plan.jobs)} jobs")

    async def _until_the_end(self, observer: RunObserver, striker: Striker) -> bool:
        """Strike what is due until all jobs have ended and all strikes are healed."""
        while time.monotonic() - self._began < self.plan.deadline:
            with suppress(Unreachable):  # the server may be what was struck
                snapshot = await observer.observe()
                striker.consider(snapshot)
                if snapshot.done >= snapshot.total and striker.over:
                    return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    def _say(self, what: str, words: str) -> None:
        self._show(f"{time.monotonic() - self._began:7.2f} s  {what:<15} {words}")


class Stay(Runner):
    """Does the strikes and stays until it is cancelled.

    A server that is away and a fleet that was scaled stay so. Members that were frozen or cut off
    go on after their time: only then do their logs say what it cost. Without strikes the load is
    what there is to see: it is sent again and again. A client that fails, as where the server is
    away, ends nothing.
    """

    def __init__(
        self, script: Script, adapter: AnyAdapter, folder: RunFolder, show: Print, lead: float = 0
    ) -> None:
        orders = [
            replace(one, seconds=math.inf) if one.fault in AT_THE_FLEET and one.seconds else one
            for one in script.orders
        ]
        super().__init__(replace(script, orders=orders), adapter, folder, show, lead)

    async def _until_the_end(self, observer: RunObserver, striker: Striker) -> bool:
        shown = False
        while True:
            with suppress(Unreachable):  # the server may be what was struck
                striker.consider(await observer.observe())
            if not shown and not striker.orders:
                shown = True
                found = self._adapter.addresses() | {"FLEET_RUN": str(self._folder.root)}
                words = " ".join(f"{name}={shlex.quote(value)}" for name, value in found.items())
                self._show("the fleet stays until Ctrl-C; for other terminals:")
                self._show(f"  export {words}")
                if not self._script.orders:
                    striker.group.create_task(self._send_again())
            await asyncio.sleep(POLL_SECONDS)

    async def _submit(self) -> None:
        await self._say_if_failed(super()._submit())

    async def _send_again(self) -> None:
        begin = self.plan.jobs[0].id.rpartition("-")[0]
        for number in itertools.count(2):
            again = [f"--id-prefix={begin}-{number}", "--wait"]
            await self._say_if_failed(self._adapter.submit([*self._script.client, *again]))

    async def _say_if_failed(self, submitted: Awaitable[None]) -> None:
        try:
            await submitted
        except PlaceFailed as failed:
            self._say("client", str(failed))

"""A run that stays: for whoever wants to look at a fault for longer than it lasts."""

import asyncio
import itertools
import math
import shlex
from contextlib import suppress

from msgspec.structs import replace

from resonate_fleet.chaos.observer import RunObserver
from resonate_fleet.chaos.place import AnyAdapter
from resonate_fleet.chaos.plan import Script
from resonate_fleet.chaos.run import POLL_SECONDS, Print, Runner
from resonate_fleet.contract.run import AT_THE_FLEET, RunFolder
from resonate_fleet.contract.wire import Unreachable


class Stay(Runner):
    """Does the strikes and stays until it is cancelled.

    A server that is away and a fleet that was scaled stay so. Members that were frozen or cut off
    go on after their time: only then do their logs say what it cost. Without strikes the load is
    what there is to see: it is sent again and again.
    """

    def __init__(self, script: Script, adapter: AnyAdapter, folder: RunFolder, show: Print) -> None:
        orders = [
            replace(one, seconds=math.inf) if one.fault in AT_THE_FLEET and one.seconds else one
            for one in script.orders
        ]
        super().__init__(replace(script, orders=orders), adapter, folder, show)

    async def _until_the_end(self, observer: RunObserver, group: asyncio.TaskGroup) -> bool:
        shown = False
        while True:
            with suppress(Unreachable):  # the server may be what was struck
                self._striker.consider(await observer.observe(), observer, group)
            if not shown and self._striker.begun:
                shown = True
                self._say_where()
                if not self._script.orders:
                    group.create_task(self._send_again())
            await asyncio.sleep(POLL_SECONDS)

    def _say_where(self) -> None:
        found = self._adapter.addresses() | {"FLEET_RUN": str(self._folder.root)}
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in found.items())
        self._show("the fleet stays until Ctrl-C; for other terminals:")
        self._show(f"  export {words}")

    async def _send_again(self) -> None:
        begin = self._plan.jobs[0].id.rpartition("-")[0]
        for number in itertools.count(2):
            again = [f"--id-prefix={begin}-{number}", "--wait"]
            await self._adapter.submit([*self._script.client, *again])

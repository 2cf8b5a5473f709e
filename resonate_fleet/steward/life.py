"""A steward from the environment to an exit code.

On SIGTERM or SIGINT, in order: not ready; no more members; hand-overs under way finish (for a few
seconds at most); what must be remembered is written; the pages close; exit 0.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog

from resonate_fleet.contract import exits, logs
from resonate_fleet.contract.journal import StewardStarted
from resonate_fleet.contract.pages import Pages
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.settings import effective, unknown
from resonate_fleet.contract.wire import Wire
from resonate_fleet.steward import scale_in
from resonate_fleet.steward.handover import Handover
from resonate_fleet.steward.keeper import Lives
from resonate_fleet.steward.metrics import Meters, steward_version
from resonate_fleet.steward.parking import Parking
from resonate_fleet.steward.presence import Presence
from resonate_fleet.steward.rounds import Extra, Rounds
from resonate_fleet.steward.settings import StewardSettings
from resonate_fleet.steward.sights import Health, pages
from resonate_fleet.steward.state import StateFile
from resonate_fleet.steward.tools import Tools

#: How often the loop shows that it is not stuck, in seconds.
TICK_SECONDS = 0.5


class Steward:
    """The parts of one steward, put together. `extras` are called with each look."""

    def __init__(
        self, settings: StewardSettings, tools: Tools, extras: Sequence[Extra] = ()
    ) -> None:
        self._settings = settings
        self._tools = tools
        self._health = Health()
        parking = Parking(tools, settings.max_crashes)
        handover = Handover(tools, parking, settings.grace)
        self._lives = Lives(tools, handover)
        if settings.scale_in:
            extras = [*extras, scale_in.inside(lambda: set(self._groups()))]
        self._rounds = Rounds(tools, self._lives, handover, parking, settings.interval, extras)
        tools.meters.truth.present = self._groups

    async def serve(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set."""
        settings, log = self._settings, structlog.get_logger()
        handlers = pages(
            self._tools.meters,
            self._tools.memory,
            self._health,
            self._lives.roll,
            settings.name,
        )
        address = (settings.host, settings.presence_port)
        async with AsyncExitStack() as open_:
            served = open_.enter_context(Pages(settings.host, settings.port, handlers))
            open_.push_async_callback(self._lives.stop)
            members = Presence(address, settings.keepalive, self._lives)
            await open_.enter_async_context(members)
            started = StewardStarted(
                version=steward_version(), port=served.port, presence_port=members.port
            )
            self._tools.journal.write(started)
            self._health.ready = True
            await self._work_until(stop)
            self._health.ready = False
            log.info("stop.step", step="not-ready")
        log.info("stop.step", step="closed")

    async def _work_until(self, stop: asyncio.Event) -> None:
        """Raises whatever one of the loops ends with: a steward without it is of no use."""
        loops = [
            asyncio.create_task(loop)
            for loop in (
                self._rounds.forever(),
                self._lives.keep_saving(),
                self._miss(),
                self._tick(),
            )
        ]
        ended = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([ended, *loops], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (ended, *loops):
                task.cancel()
            await asyncio.gather(ended, *loops, return_exceptions=True)

    async def _miss(self) -> None:
        await asyncio.sleep(self._settings.reconnect)
        self._lives.missing()
        await asyncio.Event().wait()

    async def _tick(self) -> None:
        while True:
            self._health.ticked = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)

    def _groups(self) -> dict[str, str]:
        return {member: hello.group for member, hello in self._lives.roll().items()}


async def run(settings: StewardSettings) -> int:
    """Run a steward until a signal ends it; return the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    file = StateFile(settings.state)
    try:
        memory = file.load()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return exits.USAGE
    journal = Journal(settings.name, settings.journal)
    try:
        async with Wire(settings.url, settings.token) as wire:
            tools = Tools(wire, journal, Meters(settings.groups), memory, file)
            await Steward(settings, tools).serve(stop)
    except OSError as error:  # a port is taken, say
        sys.stderr.write(f"the steward cannot go on: {error}\n")
        return exits.FAILED
    finally:
        file.close()
        journal.close()
    return exits.OK


def live(settings: StewardSettings) -> int:
    """Run the steward until a signal ends it; return the exit code."""
    logs.configure(settings.log_format, settings.log_level, settings.name)
    log = structlog.get_logger()
    log.info("settings", **effective(settings))
    if names := unknown(StewardSettings, os.environ):
        log.warning("settings.unused", names=names)
    return asyncio.run(run(settings))

"""Runs a steward, from its settings to its exit code.

On SIGTERM or SIGINT it is not ready any more and closes the presence port. Hand-overs under way
get a few seconds to finish. Then it writes its state file, closes its pages and exits with 0.
"""

import asyncio
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

import structlog

from resonate_fleet.contract import exits, logs
from resonate_fleet.contract.checking import text_of
from resonate_fleet.contract.clock import ServerClock, steady_clock
from resonate_fleet.contract.journal import StewardStarted
from resonate_fleet.contract.live import LiveState
from resonate_fleet.contract.loops import work_until
from resonate_fleet.contract.pages import Handler
from resonate_fleet.contract.recorder import open_journal
from resonate_fleet.contract.replica import own_name
from resonate_fleet.contract.settings import Mistake, effective, taken_port, unknown
from resonate_fleet.contract.sink import lines_to, losses
from resonate_fleet.contract.sockets import say_once
from resonate_fleet.contract.stream import Stream
from resonate_fleet.contract.wire import Refused, Unreachable, Wire
from resonate_fleet.contract.words import package_version
from resonate_fleet.steward import scale_in
from resonate_fleet.steward.acts import Acts
from resonate_fleet.steward.console import Console, ConsoleOptions, Endpoints
from resonate_fleet.steward.dispatch import Dispatch
from resonate_fleet.steward.handover import Handover
from resonate_fleet.steward.lists import Lists
from resonate_fleet.steward.live import Feed, live_state
from resonate_fleet.steward.membership import Membership
from resonate_fleet.steward.metrics import Meters
from resonate_fleet.steward.pages import ProbeState, pages
from resonate_fleet.steward.parking import Parking
from resonate_fleet.steward.policy import GroupPolicy, parse
from resonate_fleet.steward.presence import Identity, PresenceServer
from resonate_fleet.steward.settings import StewardSettings
from resonate_fleet.steward.state_file import StateFile
from resonate_fleet.steward.tools import Tools

#: Longest wait at the start for the server's clock, in seconds.
CLOCK_SECONDS = 1.0
#: Longest wait of a page for the event loop, in seconds.
PAGE_SECONDS = 5.0
#: Seconds between two signs of the loop that it is not stuck.
TICK_SECONDS = 0.5


class Steward:
    """The parts of one steward, put together."""

    def __init__(
        self, settings: StewardSettings, tools: Tools, policies: Mapping[str, GroupPolicy]
    ) -> None:
        self._settings = settings
        self._tools = tools
        self._probed = ProbeState()
        self._parking = Parking(tools, settings.max_crashes)
        self._handover = Handover(tools, self._parking)
        self._dispatch = Dispatch(tools, settings.interval, self._stream, policies)
        waits = self._dispatch.promises.waits
        self._me = Identity(settings.name, tools.now(), settings.secret, waits)
        self._membership = Membership(tools, self._handover, self._dispatch)

    async def state(self) -> LiveState:
        return live_state(self._me, self._tools, self._membership, self._dispatch)

    async def serve(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set."""
        settings, log = self._settings, structlog.get_logger()
        loop = asyncio.get_running_loop()

        def state() -> LiveState:
            """Return the state, for any other thread; raise TimeoutError if the loop is stuck."""
            return asyncio.run_coroutine_threadsafe(self.state(), loop).result(PAGE_SECONDS)

        say_once(loop, self._tools.not_accepting)
        self._tools.meters.live.state = state
        handlers = pages(self._tools, self._probed, state)
        if settings.secret is None:
            log.warning("presence.open", why="FLEET_PRESENCE_SECRET is not set")
        async with AsyncExitStack() as open_:
            served = open_.enter_context(self._console(state, handlers))
            open_.push_async_callback(self._membership.stop)
            open_.callback(self._dispatch.close)
            address = (settings.host, settings.presence_port)
            presence = PresenceServer(address, settings.keepalive, self._membership, self._me)
            await open_.enter_async_context(presence)
            started = StewardStarted(
                version=package_version(), port=served.port, presence_port=presence.port
            )
            self._tools.journal.write(started)
            self._probed.ready = True
            await self._work_until(stop, presence.beat())
            self._probed.ready = False
            log.info("stop.step", step="not-ready")
        log.info("stop.step", step="closed")

    def _console(self, state: Callable[[], LiveState], handlers: Mapping[str, Handler]) -> Console:
        settings = self._settings
        options = ConsoleOptions(
            settings.console_token,
            settings.console_hosts,
            settings.console_peers,
            self._tools.not_accepting,
        )
        shown = {"acts": bool(options.token), "kill": settings.console_kill, "peers": options.peers}
        acts = Acts(self._tools, self._dispatch)
        endpoints = Endpoints(
            feed=Feed(state, shown),
            pages=handlers,
            asks=Lists(self._tools, self._dispatch, payloads=settings.console_payloads).asks(),
            acts=acts.by_name(kill=settings.console_kill),
            open_acts={"settled": acts.settled},
        )
        return Console((settings.host, settings.port), options, endpoints)

    async def _work_until(self, stop: asyncio.Event, beat: Coroutine[Any, Any, None]) -> None:
        await work_until(
            stop.wait(),
            beat,
            self._dispatch.survey_loop.run(self._search, self._calm),
            self._membership.keep_saving(),
            self._note_absent(),
            self._tick(),
            self._write_pod_costs(),
        )

    async def _note_absent(self) -> None:
        await asyncio.sleep(self._settings.reconnect)
        self._membership.note_absent()

    async def _tick(self) -> None:
        while True:
            self._probed.ticked = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)

    async def _write_pod_costs(self) -> None:
        costs = scale_in.inside() if self._settings.scale_in else None
        while costs is not None:
            await asyncio.sleep(self._settings.interval)
            try:
                await costs.write(await self.state())
            except Exception as error:  # noqa: BLE001 - whatever it is, leases come first
                self._tools.failed("extra", error)

    def reread(self) -> None:
        """Read the policy file again; a file with mistakes changes nothing."""
        try:
            policies = policies_of(self._settings)
        except Mistake as bad:
            for one in bad.lines:
                structlog.get_logger().warning(
                    "policy.refused", why=one, then="the one before stands"
                )
        else:
            self._dispatch.promises.apply(policies)

    def _stream(self, group: str, again: Callable[[], None]) -> Stream:
        log = structlog.get_logger().bind(group=group)

        def back(seconds: float | None) -> None:
            if seconds is not None:
                log.info("stream.back", seconds=round(seconds, 3))
                again()

        url = f"{self._settings.url}/poll/{group}/{self._me.name}"
        return Stream(
            url, self._settings.token, lambda why: log.warning("stream.lost", why=why), back
        )

    async def _search(self, state: str) -> None:
        """Search one state. After `halted`, the last one of a survey, follow up parked jobs."""
        surveyor = self._dispatch.surveyor
        found = [self._dispatch.offer_found] if state == "pending" else []
        await surveyor.search(state, *found)
        self._dispatch.searched(state, self._membership.present.keys())
        if state == "acquired":
            await self._membership.release_departed(surveyor.seen[state].tasks.values())
        if state == "halted":
            await self._handover.follow_up()
            await self._parking.follow_up(surveyor.state, surveyor.at)

    def _calm(self, at: float) -> bool:
        """Say whether hints and members tell of all that happened since `at`."""
        quiet = not self._membership.departed_since(at) and not self._tools.attempts.parked
        return quiet and self._dispatch.has_listener


def policies_of(settings: StewardSettings) -> dict[str, GroupPolicy]:
    """Return the policies that the settings name, and log their groups.

    Raises:
        Mistake: the file has mistakes, or cannot be read.
    """
    if settings.policy is None:
        return {}
    policies = parse(text_of(settings.policy), str(settings.policy))
    structlog.get_logger().info("policy.read", groups=sorted(policies))
    return policies


async def run(settings: StewardSettings) -> int:
    """Run a steward until a signal ends it; return the exit code.

    Raises:
        Mistake: a file or folder that the settings name cannot be used.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    file = StateFile(settings.state)
    try:
        memory = file.load()
    except (OSError, ValueError) as error:
        raise Mistake(f"STEWARD_STATE is {str(settings.state)!r}: {error}") from None
    policies = policies_of(settings)
    meters = Meters(settings.groups)
    journal = open_journal("STEWARD_JOURNAL", settings.name, settings.journal)
    losses.listeners.append(lambda loss: meters.lost_line(loss.what, over=loss.over))
    try:
        async with Wire(settings.url, settings.token) as wire:
            wire.clock = ServerClock(steady_clock(), off=_clock_off)
            # Before anything gets its time. Without an answer this machine's clock counts at first.
            with suppress(Unreachable, Refused, TimeoutError):
                async with asyncio.timeout(CLOCK_SECONDS):
                    await wire.wait_ready(0.0)
            tools = Tools(
                wire, journal, meters, memory, file, now=wire.clock.now, grace=settings.grace
            )
            steward = Steward(settings, tools, policies)
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, steward.reread)
            await steward.serve(stop)
    except OSError as error:  # a port is taken, say
        raise taken_port(settings, error) from None
    finally:
        file.close()
        journal.close()
    return exits.OK


def _clock_off(seconds: float) -> None:
    """Log once how far the server's clock is ahead of this machine's."""
    structlog.get_logger().warning(
        "clock.off", seconds=seconds, then="times are by the server's clock"
    )


def live(settings: StewardSettings) -> int:
    """Run the steward until a signal ends it; return the exit code."""
    name, state = settings.name or own_name(), settings.state
    if state is not None and state.is_dir():
        state /= f"{name}.json"
    settings = dataclasses.replace(settings, name=name, state=state)
    # Printing never fails, even when nobody reads it any more.
    sys.stdout, sys.stderr = lines_to(sys.stdout, "log"), lines_to(sys.stderr, "log")
    logs.configure(settings.log_format, settings.log_level, settings.name)
    log = structlog.get_logger()
    log.info("settings", **effective(settings))
    if names := unknown(StewardSettings, os.environ):
        log.warning("settings.unused", names=names)
    return asyncio.run(run(settings))

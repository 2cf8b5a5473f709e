"""A member put together: the SDK, what stands around it, and the life of the whole."""

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial

import structlog
from resonate.resonate import Resonate

from resonate_fleet.contract import exits
from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.journal import MemberStarted
from resonate_fleet.contract.pages import Pages
from resonate_fleet.contract.presence import Hello
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.sink import Loss, losses
from resonate_fleet.contract.stream import Stream
from resonate_fleet.contract.wire import Refused, Unreachable, Wire
from resonate_fleet.member.about import about, version
from resonate_fleet.member.attempts import Table
from resonate_fleet.member.backup import Backup
from resonate_fleet.member.bodies import Bodies
from resonate_fleet.member.channel import Channel
from resonate_fleet.member.claims import Claims
from resonate_fleet.member.drain import Drain, DrainActions
from resonate_fleet.member.health import Health
from resonate_fleet.member.intake import Inbox, Intake
from resonate_fleet.member.leases import BeatListener, Heart
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.metrics import Metrics
from resonate_fleet.member.network import Network
from resonate_fleet.member.plain import Plain
from resonate_fleet.member.presence import Presence
from resonate_fleet.member.probes import Probes, Pulse
from resonate_fleet.member.readiness import Readiness
from resonate_fleet.member.registry import Registry
from resonate_fleet.member.sdk import build
from resonate_fleet.member.settings import Settings
from resonate_fleet.member.signals import Own
from resonate_fleet.member.stewards import Stewards
from resonate_fleet.member.tracing import traces
from resonate_fleet.member.writes import Writes

#: Seconds that the event loop has to end after the drain; then the process ends without it.
LAST_PATIENCE = 2.0
log = structlog.get_logger()


class Member:
    """One member. `run` returns when it has drained.

    Raises:
        BadFunctions: the SDK refuses a function.
        Mistake: traces are asked for, and the extra is missing.
        NotOpened: the functions module's start-up failed.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        registry: Registry,
        journal: Journal,
        own: Own,
    ) -> None:
        self._settings = settings
        self._name = name
        self._registry = registry
        self._journal = journal
        self._own = own
        self._table = Table(registry.limits())
        self._metrics = Metrics(registry.has, settings.slots, version())
        self._metrics.expect(one.partition("@")[0] for one in registry.names())
        losses.listeners.append(self._count_loss)
        self._ledger = Ledger(journal, self._metrics, traces(settings.traces, name, settings.group))
        self._wire = Wire(settings.url, settings.token)
        self._stream = self._new_stream(name, self._ledger.server_lost, self._ledger.server_back)
        self._inbox = Inbox(name, self._stream)
        self._intake = Intake(settings.slots, self._inbox)
        self._plain = self._new_plain()
        refused = partial(self._metrics.count, "requests_refused")
        self._health = Health(refused, connected=self._is_connected)
        self._channel = Channel(self._wire, self._health, settings.token, self._ledger.clock)
        self._readiness = Readiness(self._channel, self._health, self._stream, journal)
        self._stewards = Stewards(
            self._intake, self._table, self._ledger, self._on_loop, self._readiness
        )
        self._presence = self._new_presence()
        self._stewards.join(self._presence)
        self._intake.join(self._presence, self._plain)
        self._resonate = self._new_sdk()
        self._backup = Backup(self._table, settings.url, settings.token, name, settings.lease)
        self._heart = self._new_heart()
        self._pulse = Pulse()
        connected, liveness = self._is_connected, settings.liveness
        self._probes = Probes(self._pulse, self._heart, liveness, connected, self._health)
        self._stopped = asyncio.Event()
        self._lifespan = registry.new_lifespan()
        self._drain = self._new_drain()
        self._show()

    async def run(self) -> None:
        """Join the group and work until a signal has come and the drain is over.

        Raises:
            OSError: the port for metrics and probes cannot be had.
        """
        self._loop = asyncio.get_running_loop()
        for turn in (self._journal.turn, self._backup.turn):
            turn.collect(self._loop.call_soon)
        pages = self._probes.pages(self._metrics.page, about(self._settings, self._name))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._wire)
            served = stack.enter_context(Pages(self._settings.host, self._settings.port, pages))
            if not await self._open():
                return
            self._tell_start(served.port)
            stack.enter_context(self._backup)
            stack.enter_context(self._heart)
            for task in (
                self._pulse.run(),
                self._readiness.run(),
                self._own.run(),
                self._presence.run(),
            ):
                stack.callback(asyncio.create_task(task).cancel)
            # What stands now stays: looks for garbage pass it over, and so come sooner.
            gc.freeze()
            self._resonate.start()
            self._drain.start()
            await self._stopped.wait()
            await self._lifespan.close()
            self._ledger.traces.close()

    async def _open(self) -> bool:
        """Run the module's start-up; False where a signal came before it was over.

        Raises:
            NotOpened: it failed.
        """
        values = await self._lifespan.open_unless(lambda: not self._own.signals.came.empty())
        for value in values or ():
            self._resonate.with_dependency(value)
        return values is not None

    # The parts that need more than a line.

    def _new_sdk(self) -> Resonate:
        """The SDK, with what stands between it and the server."""
        intake, ledger = self._intake, self._ledger
        channel, table, registry = self._channel, self._table, self._registry
        writes = Writes(channel, table, ledger, intake.avoid, intake.ending)
        self._claims = Claims(channel, table, ledger, registry, writes, intake)
        network = Network(channel, self._claims, writes)
        bodies = Bodies(ledger.step_began, intake.ending, self._name)
        install = partial(registry.install, bodies=bodies)
        return build(self._settings, self._name, network, self._inbox, install, ledger)

    def _new_wire(self) -> BlockingWire:
        """A connection for one thread; an answer that is late for a beat is none."""
        timeout = max(0.2, min(self._settings.lease / 3, 5.0))
        return BlockingWire(self._settings.url, self._settings.token, timeout)

    def _new_heart(self) -> Heart:
        return Heart(
            self._table,
            self._new_wire(),
            self._name,
            self._settings.lease,
            BeatListener(self._stewards.lost, self._beat_failed, self._backup.beaten),
        )

    def _new_stream(
        self, group: str, lost: Callable[[str], None], back: Callable[[float], None]
    ) -> Stream:
        def connected(seconds: float | None) -> None:
            if seconds is not None:
                back(seconds)
            elif group == self._settings.group:
                self._readiness.reached()

        url = f"{self._settings.url}/poll/{group}/{self._name}"
        return Stream(url, self._settings.token, lost, connected)

    def _new_plain(self) -> Plain:
        group = self._settings.group
        # The member's own stream tells of the server's outages.
        stream = self._new_stream(group, lambda _: None, lambda _: None)
        plain = Plain(self._wire, stream, group, self._intake, self._metrics.count)
        plain.runs = self._registry.runs
        return plain

    def _new_presence(self) -> Presence:
        hello = Hello(
            member=self._name,
            group=self._settings.group,
            slots=self._settings.slots,
            functions=tuple(self._registry.names()),
        )
        presence = Presence(self._settings.stewards, hello, self._settings.secret, self._stewards)
        presence.failed = lambda: self._metrics.count("steward_failures")
        return presence

    def _new_drain(self) -> Drain:
        actions = DrainActions(
            not_ready=self._probes.drain,
            close_intake=self._close_intake,
            claiming=lambda: self._claims.pending > 0,
            refuse_claims=self._claims.close,
            stop_body=lambda attempt: self._on_loop(attempt.body.stop),
            close=self._close,
        )
        return Drain(
            self._own.signals.came,
            self._settings.drain,
            self._table,
            self._new_wire(),
            self._ledger,
            actions,
        )

    # Events, from any thread.

    def _beat_failed(self, error: Unreachable | Refused) -> None:
        self._metrics.count("heartbeat_failures")
        if isinstance(error, Refused):
            self._health.refused(error.reply.status, f"heartbeat: {error}")

    def _is_connected(self) -> bool:
        return self._stream.connected

    def _count_loss(self, loss: Loss) -> None:
        if not loss.over:
            self._metrics.count("lines_lost", loss.what, by=loss.fresh)

    def _close_intake(self) -> None:
        """Close the intake before the next step; a blocked loop does it when it can."""
        closed = threading.Event()

        def close() -> None:
            self._intake.close()
            closed.set()

        self._on_loop(close)
        closed.wait(1)

    def _close(self) -> None:
        self._presence.leave(self._loop)
        self._journal.write(self._ledger.last_words())
        self._on_loop(self._stopped.set)
        # A loop that user code blocks would keep the process: nothing is held any more.
        patience = max(LAST_PATIENCE, self._drain.left() if self._lifespan else 0.0)
        last = threading.Timer(patience, self._cut)
        last.daemon = True
        last.start()

    def _cut(self) -> None:
        if self._lifespan:
            log.error("shutdown.cut", why="the module's shutdown took longer than the drain may")
        self._journal.turn.flush()
        os._exit(exits.OK)

    def _on_loop(self, call: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(call)

    # What is told.

    def _tell_start(self, port: int) -> None:
        group, slots = self._settings.group, self._settings.slots
        started = MemberStarted(group=group, slots=slots, process=os.getpid(), version=version())
        self._journal.write(started)
        functions = self._registry.names()
        log.info("pages", host=self._settings.host, port=port, functions=functions)

    def _show(self) -> None:
        """Let the gauges look at what is."""
        watched: dict[str, Callable[[], float]] = {
            "slots_used": lambda: self._intake.used,
            "hints_held": lambda: self._plain.known,
            "search_allowed": lambda: self._plain.may_search,
            "leases_held": lambda: len(self._table),
            "heartbeat_age_seconds": self._heart.age,
            "loop_lag_seconds": self._pulse.lag,
            "clock_offset_seconds": lambda: self._ledger.clock.offset,
            "stream_connected": self._is_connected,
            "draining": lambda: self._probes.draining,
        }
        for name, value in watched.items():
            self._metrics.watch(name, value)

"""Puts a member together: starts its parts, serves, and ends them."""

import asyncio
import gc
import os
import secrets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import structlog

from resonate_fleet.contract import exits
from resonate_fleet.contract.journal import MemberStarted
from resonate_fleet.contract.loops import work_until
from resonate_fleet.contract.pages import Pages
from resonate_fleet.contract.presence import Hello
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.sink import Loss, losses
from resonate_fleet.contract.wire import Refused, Unreachable
from resonate_fleet.contract.words import package_version
from resonate_fleet.member.attempts import Table
from resonate_fleet.member.bodies import Bodies
from resonate_fleet.member.claims import Claims
from resonate_fleet.member.drain import Drain
from resonate_fleet.member.fallback import Fallback
from resonate_fleet.member.health import Probes
from resonate_fleet.member.heartbeat_process import HeartbeatProcess
from resonate_fleet.member.intake import Intake
from resonate_fleet.member.leases import Heartbeats, LapseWatch, Revocation
from resonate_fleet.member.ledger import Ledger, traces
from resonate_fleet.member.link import Connector
from resonate_fleet.member.metrics import Metrics
from resonate_fleet.member.on_loop import OnLoop
from resonate_fleet.member.presence import Presence
from resonate_fleet.member.process import ProcessWide
from resonate_fleet.member.registry import Registry
from resonate_fleet.member.sdk import build
from resonate_fleet.member.settings import Settings
from resonate_fleet.member.upstream import Upstream, Wires
from resonate_fleet.member.writes import Writes

#: Seconds that the event loop has to end after the drain; then the process ends without it.
LOOP_END_SECONDS = 2.0
log = structlog.get_logger()


class JobRunner:
    """The SDK with the member's own parts around it.

    `intake` lets the SDK claim what a steward assigns (`presence`) or what `fallback` finds. The
    SDK runs the functions, as `Bodies` wraps them. Its claims go through `claims`, its outcomes
    through `Writes`.

    Raises:
        BadFunctions: the SDK refuses a function.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        table: Table,
        ledger: Ledger,
        upstream: Upstream,
        on_loop: OnLoop,
    ) -> None:
        name, group, counts = ledger.journal.who, settings.group, ledger.metrics.count
        self.table = table
        self.ledger = ledger
        self.on_loop = on_loop
        self.revocation = Revocation(table, ledger, on_loop)
        self.intake = intake = Intake(settings.slots, name, upstream.stream)
        hints = upstream.group_stream(group)
        self.fallback = Fallback(upstream.wire, hints, group, intake, counts, registry.runs)
        self.presence = Presence(intake, table, self.revocation, on_loop, upstream.ready)
        reporter = self.presence.reporter
        intake.join(reporter, self.fallback)
        ledger.on_claimed, ledger.on_ended = reporter.claimed, reporter.ended
        self.functions = tuple(registry.names())
        hello = Hello(name, group, settings.slots, self.functions, secrets.token_hex(16))
        to, failed = settings.stewards, partial(counts, "steward_failures")
        self._connector = Connector(to, hello, settings.secret, self.presence, failed)
        writes = Writes(upstream.channel, table, ledger, intake)
        self.claims = Claims(upstream.channel, table, ledger, registry, writes, intake)
        self.sdk = build(settings, name, self.claims, intake, ledger)
        registry.install(self.sdk, Bodies(ledger.step_began, intake.ending, name))

    async def run(self) -> None:
        """Work, until cancelled."""
        self.sdk.start()
        await self._connector.run()


class Member:
    """One member, named as its journal is. `run` returns when it has drained.

    Raises:
        BadFunctions: the SDK refuses a function.
        Mistake: traces are asked for, and the extra is missing.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        journal: Journal,
        own: ProcessWide,
        wires: Wires,
        on_loop: OnLoop,
    ) -> None:
        name, table = journal.who, Table(registry.limits)
        self._settings = settings
        self._own = own
        self._on_loop = on_loop
        metrics = Metrics(registry.functions, settings.slots, package_version())
        losses.listeners.append(self._count_loss)
        self._ledger = Ledger(journal, metrics, traces(settings.traces, name, settings.group))
        self._upstream = Upstream(wires, self._ledger, settings.token)
        self._runner = JobRunner(settings, registry, table, self._ledger, self._upstream, on_loop)
        self._heartbeat_process = HeartbeatProcess(
            table, settings.url, settings.token, name, settings.lease
        )
        lost = self._runner.revocation.lost
        heard = self._heartbeat_failed, self._heartbeat_answered
        self._heartbeats = Heartbeats(table, wires.blocking(), name, settings.lease, lost, *heard)
        self._probes = Probes(
            self._heartbeats,
            settings.liveness,
            self._upstream.is_connected,
            self._upstream.health,
            self._upstream.heartbeat_health,
        )
        self._stopped = asyncio.Event()
        self._lifespan = registry.hooks
        wire, not_ready = wires.blocking(), self._probes.drain
        self._drain = Drain(own.came, settings.drain, wire, self._runner, not_ready, self._close)
        self._show()

    async def run(self) -> None:
        """Join the group and work until a signal has come and the drain is over.

        Raises:
            OSError: the port for metrics and probes cannot be had.
            BadFunctions: the functions module's start-up failed.
        """
        settings, ledger = self._settings, self._ledger
        for buffer in (ledger.journal.buffer, self._heartbeat_process.buffer):
            buffer.collect(asyncio.get_running_loop().call_soon)
        pages = self._probes.pages(ledger.metrics.page)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._upstream.wire)
            served = stack.enter_context(Pages(settings.host, settings.port, pages))
            opened = await self._lifespan.open_unless(lambda: not self._own.came.empty())
            if opened is None:
                return
            for value in opened:
                self._runner.sdk.with_dependency(value)
            self._say_start(served.port)
            stack.enter_context(self._heartbeat_process)
            stack.enter_context(self._heartbeats)
            stack.enter_context(LapseWatch(self._heartbeats))
            parts = (self._probes, self._upstream, self._own, self._runner)
            # All present objects stay: the garbage collector need not visit them.
            gc.freeze()
            self._drain.start()
            await work_until(self._until_closed(), *(part.run() for part in parts))

    async def _until_closed(self) -> None:
        await self._stopped.wait()
        await self._lifespan.close()
        if self._ledger.traces is not None:
            self._ledger.traces.close()

    # Reports about itself.

    def _say_start(self, port: int) -> None:
        settings, process, version = self._settings, os.getpid(), package_version()
        self._ledger.journal.write(
            MemberStarted(
                group=settings.group, slots=settings.slots, process=process, version=version
            )
        )
        log.info("pages", host=settings.host, port=port, functions=list(self._runner.functions))

    def _show(self) -> None:
        """Set the functions of the gauges."""
        runner = self._runner
        gauges: dict[str, Callable[[], float]] = {
            "slots_used": lambda: runner.intake.used,
            "fallback_backlog": lambda: runner.fallback.known,
            "search_allowed": lambda: runner.fallback.may_search,
            "leases_held": lambda: len(runner.table),
            "heartbeat_age_seconds": self._heartbeats.age,
            "heartbeat_process_running": lambda: self._heartbeat_process.runs,
            "loop_lag_seconds": self._probes.lag,
            "clock_offset_seconds": lambda: self._ledger.clock.offset,
            "stream_connected": self._upstream.is_connected,
            "draining": lambda: self._probes.draining,
        }
        for name, value in gauges.items():
            self._ledger.metrics.set_function(name, value)

    # Events, from any thread.

    def _heartbeat_failed(self, error: Unreachable | Refused) -> None:
        self._ledger.metrics.count("heartbeat_failures")
        if isinstance(error, Refused):
            self._upstream.heartbeat_health.refused(error.reply.status, f"heartbeat: {error}")

    def _heartbeat_answered(self) -> None:
        self._upstream.heartbeat_health.answered()
        self._heartbeat_process.sent()

    def _count_loss(self, loss: Loss) -> None:
        if not loss.over:
            self._ledger.metrics.count("lines_lost", loss.what, by=loss.fresh)

    def _close(self) -> None:
        """End `run`, or the process without it; no lease is held any more. For another thread."""
        self._ledger.stopped()
        self._on_loop.soon(self._stopped.set)
        # User code may block the loop: then the process ends without it.
        time.sleep(max(LOOP_END_SECONDS, self._drain.seconds_left() if self._lifespan else 0.0))
        if self._lifespan:
            log.error("shutdown.cut", why="the module's shutdown took longer than the drain may")
        self._ledger.journal.buffer.flush()
        os._exit(exits.OK)

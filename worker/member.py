"""A member put together: the SDK, what stands around it, and the life of the whole."""

import asyncio
import os
import platform
import queue
import secrets
import socket
import threading
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib import metadata
from typing import Any

import structlog
from resonate.observability import BackgroundTaskFailed, Event
from resonate.resonate import Resonate

from contract.journal import Journal, MemberReady, MemberStarted, MemberStopped
from contract.pages import Pages
from contract.presence import Hello
from contract.wire import Wire
from worker.attempts import Attempt, Table, current
from worker.drain import Doors, Drain
from worker.intake import Intake
from worker.leases import Heart, Line
from worker.ledger import Ledger
from worker.metrics import Metrics
from worker.network import Network
from worker.presence import Presence
from worker.probes import Probes, Pulse
from worker.registry import Registry
from worker.retries import Retries
from worker.settings import Settings
from worker.stream import Stream
from worker.witness import Witness

#: Seconds that the event loop has to end after the drain; then the process ends without it.
LAST_PATIENCE = 2.0
#: The SDK's own bound on concurrent tasks; slots are counted in the intake.
PLENTY = 1_000_000
log = structlog.get_logger()


def name_of(settings: Settings) -> str:
    """Return a name for this start of the member, under which its leases stand on the server."""
    return f"{settings.member or socket.gethostname()}-{secrets.token_hex(3)}"


def version() -> str:
    try:
        return metadata.version("resonate-fleet")
    except metadata.PackageNotFoundError:  # run from a plain checkout
        return "0"


class NoHeartbeat:
    """The SDK's heartbeat: our own thread beats."""

    def start(self, task_id: str, task_version: int) -> None: ...
    def stop(self, task_id: str) -> None: ...
    def shutdown(self) -> None: ...


class Member:
    """One member. `run` returns when it has drained."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        registry: Registry,
        journal: Journal,
        signals: "queue.SimpleQueue[str]",
    ) -> None:
        self._settings = settings
        self._name = name
        self._registry = registry
        self._journal = journal
        self._signals = signals
        self._table = Table()
        names = set(registry.names())
        self._metrics = Metrics(names.__contains__, settings.slots, version())
        self._ledger = Ledger(journal, self._metrics)
        registry.step_began = self._ledger.step_began
        self._pulse = Pulse()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Join the group and work until a signal has come and the drain is over.

        Raises:
            OSError: the port for metrics and probes cannot be had.
            BadFunctions: the SDK refuses a function.
        """
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            wire = await stack.enter_async_context(Wire(settings.url, settings.token))
            network = Network(wire, self._name, self._table, self._ledger, self._registry)
            stream = self._stream()
            intake = Intake(
                wire,
                stream,
                settings.group,
                self._name,
                settings.slots,
                self._metrics.count,
            )
            network.slots = intake
            heart = stack.enter_context(self._heart())
            probes = Probes(self._pulse, heart, settings.liveness, lambda: stream.connected)
            self._show(intake, stream, heart, probes)
            pages = probes.pages(self._metrics.page, self._about())
            page_server = stack.enter_context(Pages(settings.host, settings.port, pages))
            presence = stack.enter_context(self._presence())
            self._started(page_server.port)
            pulse = asyncio.create_task(self._pulse.run())
            stack.callback(pulse.cancel)
            self._sdk(network, intake).start()
            self._drain(network, intake, probes, presence).start()
            await self._stopped.wait()

    # The parts.

    def _line(self) -> Line:
        timeout = max(0.2, min(self._settings.lease / 3, 5.0))
        return Line(self._settings.url, self._settings.token, timeout)

    def _heart(self) -> Heart:
        return Heart(
            self._table,
            self._line(),
            self._name,
            self._settings.lease,
            self._lost,
            lambda: self._metrics.count("heartbeat_failures"),
        )

    def _stream(self) -> Stream:
        def lost(why: str) -> None:
            self._ledger.server_lost(why)

        def back(seconds: float | None) -> None:
            if seconds is not None:
                self._ledger.server_back(seconds)
            else:
                self._journal.write(MemberReady())

        url = f"{self._settings.url}/poll/{self._settings.group}/{self._name}"
        return Stream(url, self._settings.token, lost, back)

    def _presence(self) -> Presence:
        def released(task: str, version: int) -> None:
            attempt = self._table.find(task, version)
            if attempt is not None:
                self._lost(attempt, "taken")

        hello = Hello(member=self._name, group=self._settings.group, slots=self._settings.slots)
        return Presence(self._settings.steward, hello, released)

    def _sdk(self, network: Network, intake: Intake) -> Resonate:
        settings = self._settings
        resonate = Resonate(
            network=network,
            sources=[intake],
            group=settings.group,
            pid=self._name,
            ttl=timedelta(seconds=settings.lease),
            heartbeat=NoHeartbeat(),
            max_concurrent_tasks=PLENTY,
            retry_policy=Retries(settings.retries, settings.retry_delay, self._ledger.retried),
            env={},
            observer=observe,
            subscription_refresh_secs=0,
            autostart=False,
        )
        resonate.with_dependency(Witness(self._name, _attempt_number))
        self._registry.install(resonate)
        return resonate

    def _drain(self, network: Network, intake: Intake, probes: Probes, presence: Presence) -> Drain:
        def not_ready() -> None:
            probes.draining = True

        def close() -> None:
            presence.leave()
            self._journal.write(self._last_words())
            self._on_loop(self._stopped.set)
            threading.Timer(LAST_PATIENCE, os._exit, (0,)).start()

        doors = Doors(
            not_ready=not_ready,
            close_intake=lambda: self._on_loop(intake.close),
            claiming=lambda: network.claiming > 0,
            refuse_claims=network.refuse_claims,
            stop_body=lambda attempt: self._on_loop(attempt.stop),
            close=close,
        )
        return Drain(
            self._signals, self._settings.drain, self._table, self._line(), self._ledger, doors
        )

    # Events.

    def _lost(self, attempt: Attempt, why: str) -> None:
        """A lease is gone: stop its body. Called from any thread."""
        if self._table.finish(attempt):
            self._ledger.lost(attempt, why)
            self._ledger.ended(attempt, "lost")
            self._on_loop(attempt.stop)

    def _on_loop(self, call: Any) -> None:
        self._loop.call_soon_threadsafe(call)

    def _started(self, port: int) -> None:
        self._journal.write(
            MemberStarted(
                group=self._settings.group,
                slots=self._settings.slots,
                process=os.getpid(),
                version=version(),
            )
        )
        log.info("pages", host=self._settings.host, port=port)

    def _last_words(self) -> MemberStopped:
        totals = self._ledger.totals
        return MemberStopped(
            done=totals.get("resolved", 0),
            failed=totals.get("rejected", 0),
            handed_back=totals.get("released", 0),
            lost=totals.get("lost", 0) + totals.get("refused", 0),
        )

    def _about(self) -> dict[str, Any]:
        return {
            "member": self._name,
            "group": self._settings.group,
            "version": version(),
            "sdk": metadata.version("resonate-sdk"),
            "python": platform.python_version(),
            "functions": self._registry.names(),
        }

    def _show(self, intake: Intake, stream: Stream, heart: Heart, probes: Probes) -> None:
        watched = {
            "slots_used": lambda: intake.used,
            "hints_held": lambda: intake.held,
            "search_allowed": lambda: intake.search_allowed,
            "leases_held": lambda: len(self._table),
            "heartbeat_age_seconds": heart.age,
            "loop_lag_seconds": self._pulse.lag,
            "stream_connected": lambda: stream.connected,
            "draining": lambda: probes.draining,
        }
        for name, value in watched.items():
            self._metrics.watch(name, value)


def observe(event: Event) -> None:
    """The SDK's events: only what nobody else tells, and no refused claims."""
    if isinstance(event, BackgroundTaskFailed):
        log.debug("sdk.task-failed", why=event.cause)


def _attempt_number() -> int:
    attempt = current.get()
    return attempt.version if attempt is not None else 0

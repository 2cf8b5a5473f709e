"""The SDK, set up with the member's own parts around it."""

import logging
from collections.abc import Callable
from datetime import timedelta

import structlog
from resonate.error import (
    Base64DecodeError,
    DecodingError,
    FunctionNotFoundError,
    PlatformError,
    ResonateError,
    SerializationError,
)
from resonate.heartbeat import NoopHeartbeat
from resonate.observability import BackgroundTaskFailed, Event
from resonate.resonate import Resonate
from resonate_base.connections import Source

from resonate_fleet.member import requests
from resonate_fleet.member.attempts import current
from resonate_fleet.member.channel import Channel
from resonate_fleet.member.claims import Claims
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.retries import Retries
from resonate_fleet.member.settings import Settings
from resonate_fleet.member.writes import Writes

#: The SDK's own bound on concurrent tasks: without effect, since the intake counts slots.
PLENTY = 1_000_000
#: Errors for which the SDK releases a job though every further attempt would fail the same way,
#: as where a body raises one of the SDK's signals by itself.
NO_REMEDY = (Base64DecodeError, DecodingError, FunctionNotFoundError, SerializationError)
log = structlog.get_logger()


class Network:
    """`resonate_base.connections.Network` on the fleet's own wire."""

    def __init__(self, channel: Channel, claims: Claims, writes: Writes) -> None:
        self._channel = channel
        self._claims = claims
        self._writes = writes

    async def start(self) -> None:
        """Do nothing: the wire connects with its first request."""

    async def stop(self) -> None:
        self._channel.close()

    async def send(self, req: str, headers: dict[str, str] | None = None) -> str:  # noqa: ARG002 - for networks that shard
        """Send one request of the SDK and return the reply, whatever its status.

        Raises:
            ConnectorError: the lease was lost, or the member ended, before there was an answer.
        """
        request = requests.read(req)
        if request.kind == "task.acquire":
            return await self._claims.send(request, req)
        if request.kind in requests.FENCED:
            return await self._writes.send(request, req)
        return (await self._channel.exchange(request, req)).body


def build(
    settings: Settings,
    name: str,
    network: Network,
    intake: Source,
    install: Callable[[Resonate], None],
    ledger: Ledger,
) -> Resonate:
    """Return the SDK with all functions registered by `install`, not started.

    Raises:
        BadFunctions: the SDK refuses a function.
    """
    resonate = Resonate(
        network=network,
        sources=[intake],
        group=settings.group,
        pid=name,
        # The channel adds the token, which may change.
        token=None,
        ttl=timedelta(seconds=settings.lease),
        heartbeat=NoopHeartbeat(),  # the member's own thread sends them
        max_concurrent_tasks=PLENTY,
        retry_policy=Retries(settings.retries, settings.retry_delay, ledger.retried),
        env={},
        clock=ledger.clock.now_ms,
        observer=_observe,
        subscription_refresh_secs=0,
        autostart=False,
    )
    install(resonate)
    return resonate


def listen() -> None:
    """Take the reason why the SDK gives a job up from its log, for the end of the attempt.

    The SDK logs an error with its traceback when it releases a job, and reports it nowhere else.
    """
    for name in ("resonate.core", "resonate.resonate"):
        logging.getLogger(name).addFilter(_heard)


def _heard(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, PlatformError):
        error = error.cause
    if error is None:
        return True
    attempt = current.get()
    if attempt is not None:
        final = isinstance(error, NO_REMEDY) or not isinstance(error, ResonateError)
        if final and not attempt.failure.hopeless:
            attempt.failure.trouble, attempt.failure.hopeless = str(error), True
        return False
    record.msg = f"{record.getMessage()}: {error}"
    record.args, record.exc_info = (), None
    return True


def _observe(event: Event) -> None:
    """Log failed tasks as debug lines: every refused claim is one."""
    if isinstance(event, BackgroundTaskFailed):
        log.debug("sdk.task-failed", why=event.cause)

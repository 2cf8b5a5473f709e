"""The SDK, set up with the member's own parts around it: its retries, its log."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from resonate.heartbeat import NoopHeartbeat
from resonate.observability import BackgroundTaskFailed, Event
from resonate.resonate import Resonate
from resonate_base.connections import Network, Source

from resonate_fleet.contract.backoff import doubled
from resonate_fleet.member.attempts import Attempt, current
from resonate_fleet.member.failures import UnwritableError, cause_of
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.settings import Settings

#: The SDK's own bound on concurrent tasks: without effect, since the intake counts slots.
PLENTY = 1_000_000
#: Longest wait before a retry, in seconds, unless the first one is longer.
LONGEST = 60.0
log = structlog.get_logger()


@dataclass(eq=False)
class Retries:
    """The SDK's retry policy: `count` retries, `delay` seconds before the first, then doubling.

    The SDK calls `next` in its `except` clause, and only for functions without durable steps
    (`resonate.context.Context.invoke_with_retry`). If the body was never entered its arguments do
    not fit; no retry changes that. `retrying` hears of each: the attempt, the error, the delay.
    """

    count: int
    delay: float
    retrying: Callable[[Attempt, BaseException, float], None]

    def next(self, attempt: int) -> int | None:
        error, running = sys.exception(), current.get()
        if attempt > self.count or error is None or running is None:
            return None
        if not running.body.entered or isinstance(error, UnwritableError):
            return None
        delay = doubled(self.delay, attempt - 1, max(LONGEST, self.delay))
        self.retrying(running, error, delay)
        # The SDK's annotation says int; it hands the value on to a sleeper that takes any number.
        return delay  # type: ignore[return-value]  # see above


def build(
    settings: Settings, name: str, network: Network, intake: Source, ledger: Ledger
) -> Resonate:
    """Return the SDK without any function, not started."""
    return Resonate(
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


def quieten() -> None:
    """Shorten what the SDK logs of jobs that it gives back, with a traceback each time.

    The end of the attempt says why (`Writes`).
    """
    for name in ("resonate.core", "resonate.resonate"):
        logging.getLogger(name).addFilter(_shortened)


def _shortened(record: logging.LogRecord) -> bool:
    if (error := cause_of(record.exc_info[1] if record.exc_info else None)) is None:
        return True
    record.msg = f"{record.getMessage()}: {error}"
    record.args, record.exc_info = (), None
    return current.get() is None


def _observe(event: Event) -> None:
    """Log failed tasks as debug lines: every refused claim is one."""
    if isinstance(event, BackgroundTaskFailed):
        log.debug("sdk.task-failed", why=event.cause)

"""Reports each event of the member once, to journal, metrics, traces and stewards."""

import time
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING

import structlog

from resonate_fleet.contract import journal as lines
from resonate_fleet.contract.clock import ServerClock
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.member.attempts import Attempt
from resonate_fleet.member.failures import text_of
from resonate_fleet.member.metrics import Metrics

if TYPE_CHECKING:
    from resonate_fleet.member.otel import Traces

INFO, WARNING = 20, 30
log = structlog.get_logger()


def traces(kind: str, member: str, group: str) -> "Traces | None":
    """Return traces as `WORKER_TRACES` says: `otlp`, or None for `off`.

    Raises:
        Mistake: the extra `otel` is missing.
    """
    if kind == "off":
        return None
    try:
        from resonate_fleet.member.otel import otlp  # noqa: PLC0415 - an extra that is seldom there
    except ImportError as error:
        raise Mistake(
            f"WORKER_TRACES is {kind!r}, which needs the extra `otel` ({error}); accepted: `off`"
        ) from None
    return otlp(member, group)


class Ledger:
    """Reports events. Safe to use from any thread.

    `totals` counts ended attempts by outcome, and those handed back, for the journal's last line.
    """

    def __init__(self, journal: Journal, metrics: Metrics, traces: "Traces | None" = None) -> None:
        self.journal = journal
        self.metrics = metrics
        self.traces = traces
        self.totals: Counter[str] = Counter()
        self._unfit_said = False
        self.clock = ServerClock(off=self.clock_off)
        #: Called with each granted lease and each end, after the journal.
        self.on_claimed: Callable[[Attempt], None] = lambda _: None
        self.on_ended: Callable[[Attempt, str], None] = lambda _attempt, _outcome: None

    def claimed(self, attempt: Attempt, waited: float) -> None:
        """Report a granted lease; to be called in the context that the attempt runs in."""
        if self.traces is not None:
            self.traces.claimed(attempt)
        self.metrics.claimed(attempt, waited)
        line = lines.Claimed(
            job=attempt.job,
            task=attempt.task,
            attempt=attempt.version,
            function=attempt.function,
            waited=round(waited, 6),
        )
        self.journal.write(line)
        self.journal.buffer.flush()  # before the body begins
        self.on_claimed(attempt)

    def refused(self, task: str, version: int, result: str) -> None:
        self.metrics.count("claims", result)
        self.journal.write(lines.ClaimRefused(task=task, version=version), 10)

    def ended(self, attempt: Attempt, outcome: str, error: str = "") -> None:
        """Report the end of an attempt; the caller has taken it off the table."""
        self.totals[outcome] += 1
        seconds = attempt.seconds()
        self.metrics.ended(attempt, outcome, seconds)
        line = lines.Ended(
            job=attempt.job,
            task=attempt.task,
            attempt=attempt.version,
            function=attempt.function,
            outcome=outcome,
            seconds=round(seconds, 6),
            error=error,
            writing=round(attempt.writing_for(), 6),
        )
        fine = outcome in ("resolved", "suspended", "released")
        self.journal.write(line, INFO if fine else WARNING)
        if self.traces is not None:
            self.traces.ended(attempt, outcome, error)
        self.on_ended(attempt, outcome)

    def handed_back(self, attempt: Attempt) -> None:
        """Report an attempt that a drain gave back."""
        self.totals["handed back"] += 1
        self.metrics.count("leases_handed_back")
        self.ended(attempt, "released")

    def lost(self, attempt: Attempt, why: str) -> None:
        """Report a lost lease; `ended` follows."""
        self.metrics.count("leases_lost", why)
        line = lines.LeaseLost(job=attempt.job, task=attempt.task, attempt=attempt.version, why=why)
        self.journal.write(line, WARNING)

    def stopped(self) -> None:
        """End the journal of this process."""
        line = lines.MemberStopped(
            done=self.totals["resolved"],
            failed=self.totals["rejected"],
            handed_back=self.totals["handed back"],
            lost=self.totals["lost"] + self.totals["refused"],
        )
        self.journal.write(line)

    def clock_off(self, seconds: float) -> None:
        """Log once how far the server's clock is ahead of this machine's."""
        log.warning("clock.off", seconds=seconds, then="deadlines are set by the server's clock")

    def unfit(self, attempt: Attempt, why: str) -> None:
        """Report a write that the server refuses for good; log it once."""
        self.metrics.count("writes_refused")
        if not self._unfit_said:
            self._unfit_said = True
            log.error(
                "server.unfit",
                job=attempt.job,
                why=why,
                sdk=metadata.version("resonate-sdk"),
                then="this SDK and this server may not fit; such jobs end as rejected",
            )

    def retried(self, attempt: Attempt, error: BaseException, delay: float) -> None:
        job, function, text = attempt.job, attempt.function, text_of(error)
        self.metrics.retried(attempt)
        if self.traces is not None:
            self.traces.retried(attempt, text)
        line = lines.Retried(job=job, function=function, error=text, delay=delay)
        self.journal.write(line, WARNING)

    def step_began(self, attempt: Attempt, promise: str) -> None:
        attempt.steps[promise] = time.monotonic()
        line = lines.StepBegan(job=attempt.job, attempt=attempt.version, promise=promise)
        self.journal.write(line)
        self.journal.buffer.flush()  # before the step begins

    def step_ended(self, attempt: Attempt, promise: str) -> None:
        """Report that a step's result was stored."""
        now = time.monotonic()
        seconds = now - attempt.steps.pop(promise, now)
        if self.traces is not None:
            self.traces.step_ended(attempt, promise, seconds)
        job, number = attempt.job, attempt.version
        line = lines.StepEnded(job=job, attempt=number, promise=promise, seconds=round(seconds, 6))
        self.journal.write(line)

    def server_lost(self, why: str) -> None:
        self.journal.write(lines.ServerLost(why=why), WARNING)

    def server_back(self, seconds: float | None) -> None:
        """Report an outage that is over after so many seconds, None where there was none."""
        if seconds is not None:
            self.journal.write(lines.ServerBack(seconds=round(seconds, 3)))

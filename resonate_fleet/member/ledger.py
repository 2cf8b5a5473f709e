"""Reports each event of the member once, to journal, metrics, traces and stewards."""

import time
from collections import Counter
from collections.abc import Callable
from importlib import metadata

import structlog

from resonate_fleet.contract.clock import ServerClock
from resonate_fleet.contract.journal import (
    Claimed,
    ClaimRefused,
    Ended,
    LeaseLost,
    MemberStopped,
    Retried,
    ServerBack,
    ServerLost,
    StepBegan,
    StepEnded,
)
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.member.attempts import Attempt
from resonate_fleet.member.failures import text_of
from resonate_fleet.member.metrics import Metrics
from resonate_fleet.member.tracing import Traces

INFO, WARNING, ERROR = 20, 30, 40
log = structlog.get_logger()


class Ledger:
    """Reports events. Safe to use from any thread.

    `totals` counts ended attempts by outcome, and those handed back, for the journal's last line.
    """

    def __init__(self, journal: Journal, metrics: Metrics, traces: Traces | None = None) -> None:
        self.journal = journal
        self.metrics = metrics
        self.traces = traces or Traces()
        self.totals: Counter[str] = Counter()
        self._unfit_said = False
        self.clock = ServerClock(off=self.clock_off)
        #: Called with each granted lease and each end, after the journal.
        self.on_claimed: Callable[[Attempt], None] = lambda _: None
        self.on_ended: Callable[[Attempt, str], None] = lambda _attempt, _outcome: None

    def claimed(self, attempt: Attempt, waited: float) -> None:
        """Report a granted lease; to be called in the context that the attempt runs in."""
        self.traces.claimed(attempt)
        self.metrics.claimed(attempt, waited)
        self.journal.write(
            Claimed(
                job=attempt.job,
                task=attempt.task,
                attempt=attempt.version,
                function=attempt.function,
                waited=round(waited, 6),
            )
        )
        self.journal.buffer.flush()  # before the body begins
        self.on_claimed(attempt)

    def refused(self, task: str, version: int, result: str) -> None:
        self.metrics.count("claims", result)
        self.journal.write(ClaimRefused(task=task, version=version), 10)

    def ended(self, attempt: Attempt, outcome: str, error: str = "") -> None:
        """Report the end of an attempt; the caller has taken it off the table."""
        self.totals[outcome] += 1
        seconds = attempt.seconds()
        self.metrics.ended(attempt, outcome, seconds)
        line = Ended(
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
        self.journal.write(
            LeaseLost(job=attempt.job, task=attempt.task, attempt=attempt.version, why=why), WARNING
        )

    def last_words(self) -> MemberStopped:
        """Return the line that ends the journal of this process."""
        return MemberStopped(
            done=self.totals["resolved"],
            failed=self.totals["rejected"],
            handed_back=self.totals["handed back"],
            lost=self.totals["lost"] + self.totals["refused"],
        )

    def late(self) -> None:
        """Report a result that came after its lease was lost."""
        self.metrics.count("late_results_refused")

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
        self.metrics.retried(attempt)
        self.traces.retried(attempt, text_of(error))
        self.journal.write(
            Retried(job=attempt.job, function=attempt.function, error=text_of(error), delay=delay),
            WARNING,
        )

    def step_began(self, attempt: Attempt, promise: str) -> None:
        attempt.steps[promise] = time.monotonic()
        self.journal.write(StepBegan(job=attempt.job, attempt=attempt.version, promise=promise))
        self.journal.buffer.flush()  # before the step begins

    def step_ended(self, attempt: Attempt, promise: str, seconds: float) -> None:
        self.traces.step_ended(attempt, promise, seconds)
        self.journal.write(
            StepEnded(
                job=attempt.job,
                attempt=attempt.version,
                promise=promise,
                seconds=round(seconds, 6),
            )
        )

    def server_lost(self, why: str) -> None:
        self.journal.write(ServerLost(why=why), WARNING)

    def server_back(self, seconds: float) -> None:
        self.journal.write(ServerBack(seconds=round(seconds, 3)))

"""The member's instruments: one table, from which code and documentation are made."""

import time
from bisect import bisect_left
from collections.abc import Callable, Collection
from typing import Any

from resonate_fleet.contract.instruments import Instrument
from resonate_fleet.contract.metrics import Exporter
from resonate_fleet.member.attempts import Attempt

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_BYTES = (256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 2_097_152)
_W = "fleet_worker_"


def _gauge(name: str, help: str) -> Instrument:
    return Instrument(_W + name, "gauge", help)


def _counter(name: str, help: str, *labels: str) -> Instrument:
    return Instrument(_W + name, "counter", help, labels)


def _histogram(name: str, help: str, buckets: tuple[float, ...] = _SECONDS) -> Instrument:
    return Instrument(_W + name, "histogram", help, ("function",), buckets)


INSTRUMENTS = (
    _gauge("slots", "Jobs that can run at the same time here."),
    _gauge("slots_used", "Slots in use now."),
    _counter(
        "attempts_started", "Leases granted to this member for functions that it has.", "function"
    ),
    _counter(
        "attempts_ended",
        "Attempts ended, by outcome: resolved, rejected, suspended, released, lost, refused, "
        "unknown-function, cancelled.",
        "function",
        "outcome",
    ),
    _histogram("attempt_duration_seconds", "From a granted lease to the end of the attempt."),
    _histogram("queue_wait_seconds", "From a job's creation to its first claim."),
    _counter("busy_seconds", "Seconds of slots spent in ended attempts."),
    _gauge("leases_held", "Leases held now."),
    _counter("leases_lost", "Leases lost while their job ran: lapsed, taken, halted, gone.", "why"),
    _counter("leases_handed_back", "Leases handed back by a drain."),
    _counter("claims", "Claims by result: granted, refused, failed.", "result"),
    _counter(
        "reclaims",
        "Claims of a job whose earlier attempt was interrupted; resumes do not count.",
        "function",
    ),
    _counter("hints_received", "Hints that the stream brought."),
    _counter("hints_dropped", "Hints not kept, by why: full, avoided.", "why"),
    _gauge(
        "fallback_backlog",
        "Claimable tasks that this member knows while it has no steward; 0 with one.",
    ),
    _counter(
        "fallback_searches",
        "Searches of the server for work while there is no steward, by result: found, empty, "
        "failed, forbidden.",
        "result",
    ),
    _gauge("search_allowed", "1 while the server lets this member search, else 0."),
    _gauge(
        "heartbeat_age_seconds",
        "Time since the oldest lease held was last confirmed; 0 when none is held.",
    ),
    _gauge(
        "heartbeat_process_running",
        "1 while the process runs that keeps leases as a body holds the interpreter, else 0.",
    ),
    _counter("heartbeat_failures", "Rounds of heartbeats that got no answer, or a refusal."),
    _counter(
        "late_results_refused", "Results that were refused because their lease was lost before."
    ),
    _histogram(
        "result_bytes", "Size of the request that ended a job; the server takes 2 MiB.", _BYTES
    ),
    _counter(
        "requests_refused",
        "Answers that refuse the sender or are not the server's, by status (`none`: no answer).",
        "status",
    ),
    _counter("writes_refused", "Writes of jobs that the server will never take (400)."),
    _counter("steward_failures", "Tries to reach a steward that ended without a welcome."),
    _counter(
        "lines_lost", "Lines that could not be written, by destination: log, journal.", "what"
    ),
    _counter("retries", "Runs of a function that raised before.", "function"),
    _gauge(
        "clock_offset_seconds",
        "Seconds that the server's clock is ahead of this machine's for certain; else 0.",
    ),
    _gauge("loop_lag_seconds", "How late the event loop is now."),
    _gauge("stream_connected", "1 while hints can arrive, else 0."),
    _gauge("draining", "1 while the member drains, else 0."),
    Instrument(_W + "build", "info", "What runs here.", ("version",)),
)

#: Label values that start at zero, for all and for each function: a rate needs a first sample.
_KNOWN = (
    *(("claims", result) for result in ("granted", "refused", "failed")),
    *(("lines_lost", what) for what in ("log", "journal")),
    *(("leases_lost", why) for why in ("lapsed", "taken", "halted", "gone")),
)
_EACH = (
    *((name,) for name in ("attempts_started", "reclaims", "retries")),
    *(("attempts_ended", how) for how in ("resolved", "rejected", "released", "lost")),
)
#: Most characters of an exemplar's names and values, by OpenMetrics.
_EXEMPLAR_CHARACTERS = 128
#: Seconds for which an exemplar stays at least.
_EXEMPLAR_SECONDS = 1.0


class Metrics:
    """The instruments with their values. Safe to use from any thread.

    `functions` are registered. Other names, which anyone may send, share the label `unknown`:
    strangers cannot make series.
    """

    def __init__(self, functions: Collection[str], slots: int, version: str) -> None:
        self._functions = functions
        #: Instruments by name and labels; when a bucket may show another exemplar (monotonic).
        self._children: dict[tuple[str, ...], Any] = {}
        self._shown: dict[tuple[str, str, int], float] = {}
        exporter = Exporter(_W, INSTRUMENTS)
        self.page, self._made = exporter.page, exporter.made
        self._made["slots"].set(slots)
        self._made["build"].info({"version": version})
        for name, label in _KNOWN:
            self._made[name].labels(label)
        for function in functions:
            for name, *outcome in _EACH:
                self._made[name].labels(function, *outcome)

    def set_function(self, name: str, value: Callable[[], float]) -> None:
        """Let a gauge ask `value` at each scrape. `name` without the prefix `fleet_worker_`."""
        self._made[name].set_function(value)

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add to a counter. `name` without the prefix `fleet_worker_`."""
        self._child(name, *labels).inc(by)

    def claimed(self, attempt: Attempt, waited: float) -> None:
        function = self._function(attempt)
        self.count("claims", "granted")
        if not attempt.callee.known:
            return  # nothing begins here: it goes back to members that have the function
        self.count("attempts_started", function)
        if attempt.version == 1:
            self._observe("queue_wait_seconds", function, waited, attempt)
        elif not attempt.callee.suspends:
            self.count("reclaims", function)

    def ended(self, attempt: Attempt, outcome: str, seconds: float) -> None:
        function = self._function(attempt)
        self.count("attempts_ended", function, outcome)
        self.count("busy_seconds", by=seconds)
        self._observe("attempt_duration_seconds", function, seconds, attempt)
        # Each settled wait of a function that waits durably explains one earlier claim.
        if attempt.callee.suspends and attempt.version - 1 > attempt.durable_waits:
            self.count("reclaims", function)

    def written(self, attempt: Attempt, size: int) -> None:
        """Note the size of the request that ended a job."""
        self._child("result_bytes", self._function(attempt)).observe(size)

    def retried(self, attempt: Attempt) -> None:
        self.count("retries", self._function(attempt))

    def _child(self, *key: str) -> Any:
        """Return an instrument with its labels; kept, because the library finds it slowly."""
        child = self._children.get(key)
        if child is None:
            name, *labels = key
            made = self._made[name]
            child = self._children[key] = made.labels(*labels) if labels else made
        return child

    def _observe(self, name: str, function: str, seconds: float, attempt: Attempt) -> None:
        """Observe a time; now and then its bucket gets this attempt as its exemplar."""
        bucket, now = (name, function, bisect_left(_SECONDS, seconds)), time.monotonic()
        exemplar = None
        if now >= self._shown.get(bucket, 0.0):
            self._shown[bucket] = now + _EXEMPLAR_SECONDS
            labels = {"job": attempt.job, "attempt": str(attempt.version)}
            fits = sum(map(len, (*labels, *labels.values()))) <= _EXEMPLAR_CHARACTERS
            exemplar = labels if fits else None
        self._child(name, function).observe(seconds, exemplar)

    def _function(self, attempt: Attempt) -> str:
        return attempt.function if attempt.function in self._functions else "unknown"

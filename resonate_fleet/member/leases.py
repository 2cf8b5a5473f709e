"""Keeps leases by heartbeats, and ends attempts whose lease is gone.

Heartbeats have a thread with a connection of its own, which a blocked event loop cannot stop. A
separate process takes over when every thread is stopped (`heartbeat_script`).
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Self

import structlog

from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.ids import origin_of
from resonate_fleet.contract.wire import Refused, Reply, Strange, Task, Unreachable, part
from resonate_fleet.member.attempts import Attempt, Table
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.on_loop import OnLoop
from resonate_fleet.member.requests import why_lost

#: Heartbeats in the time of one lease.
PER_LEASE = 3
#: A lease gets no heartbeat before it is this part of their interval old, a sixth of the lease:
#: short jobs cost none. Its first one is sent before half of the lease is over.
YOUNG = 1 / 2
#: Longest pause before a heartbeat that failed is tried again, in seconds.
RETRY_PAUSE = 0.5
#: Shortest pause between two heartbeats, in seconds, however long the last one took.
LEAST_PAUSE = 0.02
#: Checks of a request in the time that it should take. After one more it counts as hanging.
CHECKS = 4
log = structlog.get_logger()


class _OwnThread(ABC):
    """A daemon thread that runs `_run` until `_end` is set. Use as a context manager."""

    def __init__(self, name: str) -> None:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(1)

    @abstractmethod
    def _run(self) -> None: ...


@dataclass(eq=False)
class Heartbeats(_OwnThread):
    """Sends heartbeats for the leases in the table and finds out which leases are lost.

    The server's answer does not tell (v0.9.8, `op_task_heartbeat`: always 200 and nothing), so each
    task is read after its heartbeat. There is one heartbeat for each origin: the server's main
    branch refuses a request with several. `lost` hears why a lease is lost, `failed` or `answered`
    what became of a round of heartbeats, in the thread that sends.

    A lease that was not renewed for its whole length has lapsed. Its time counts from the sending
    of the last confirmed heartbeat, by this machine's monotonic clock, so it ends no later than on
    the server. Even then the server is asked first: a process that was stopped for a while may
    still hold its leases. `LapseWatch` takes care of a request that hangs.
    """

    table: Table
    wire: BlockingWire
    member: str
    lease: float
    lost: Callable[[Attempt, str], None]
    failed: Callable[[Unreachable | Refused], None] = lambda _: None
    answered: Callable[[], None] = lambda: None
    now: Callable[[], float] = field(default_factory=lambda: time.monotonic)
    #: The request on its way: a new object for each.
    request: object | None = field(default=None, init=False)
    #: The last answer was otherwise than the protocol says, and that is logged.
    _strange: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        super().__init__("heartbeats")
        #: When the thread last woke.
        self.woke = self.now()

    @property
    def interval(self) -> float:
        return self.lease / PER_LEASE

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def age(self) -> float:
        """Return the age of the oldest lease, since it was last confirmed; 0 without any."""
        return max((self.now() - one.lease.stood for one in self.table.held()), default=0.0)

    def send(self) -> bool:
        """Send heartbeats for all leases that are due; False if the server did not answer."""
        oldest = self.now() - self.interval * YOUNG
        due = [one for one in self.table.held() if one.lease.stood <= oldest]
        due.sort(key=lambda one: origin_of(one.task))
        sent: dict[Attempt, float] = {}
        try:
            for _, group in groupby(due, key=lambda one: origin_of(one.task)):
                of_one_origin = list(group)
                sent |= dict.fromkeys(of_one_origin, self.now())
                tasks = [{"id": one.task, "version": one.version} for one in of_one_origin]
                self._ask("task.heartbeat", {"pid": self.member, "tasks": tasks})
            for attempt, at in sent.items():
                self._check(attempt, at)
        except (Unreachable, Refused) as error:
            if isinstance(error, Strange) and not self._strange:
                log.warning("heartbeats.unreadable", why=error.cause)
            self._strange = isinstance(error, Strange)
            self.failed(error)
            self.lapse()
            return False
        self._strange = False
        self.answered()
        return True

    def _check(self, attempt: Attempt, sent: float) -> None:
        reply = self._ask("task.get", {"id": attempt.task}, accept=(404,))
        task = part(self.wire.url, reply, "task", Task) if reply.ok else None
        held = ("acquired", attempt.version, self.member)
        if task is not None and (task.state, task.version, task.pid) == held:
            attempt.lease.stood = sent
        elif self.table.holds(attempt) and not attempt.lease.writing:
            self.lost(attempt, why_lost(task, attempt))

    def _ask(self, kind: str, data: Mapping[str, Any], accept: tuple[int, ...] = ()) -> Reply:
        self.request = object()
        try:
            return self.wire.call(kind, data, accept)
        finally:
            self.request = None

    def lapse(self) -> None:
        """Report each lease as lost whose whole length is over. For any thread."""
        for one in self.table.held():
            if self.now() - one.lease.stood >= self.lease:
                self.lost(one, "lapsed")

    def _run(self) -> None:
        pause = self.interval
        while not self._end.wait(pause):
            self.woke, answered = self.now(), False
            try:
                answered = self.send()
            except Exception:  # a defect must not end the heartbeats of what is held
                log.exception("heartbeats.failed")
            pause = self.interval if answered else min(self.interval, RETRY_PAUSE)
            pause = max(LEAST_PAUSE, pause - (self.now() - self.woke))
        self.wire.close()


class LapseWatch(_OwnThread):
    """A thread that reports lapsed leases while a request of the heartbeats hangs.

    Requests have a time-out, but a name look-up has none: when one hung for 10 s, the end of a
    lease of 4 s was noticed after 11.3 s (measured). This thread counts checks, not seconds: in a
    process that was stopped and goes on, the answer to the heartbeats is read first.
    """

    def __init__(self, heartbeats: Heartbeats) -> None:
        super().__init__("lapses")
        self._heartbeats = heartbeats
        self._request: object | None = None
        self._checks = 0

    def check(self) -> None:
        """Check once; to be called `CHECKS` times in the time that a request should take."""
        request, before = self._heartbeats.request, self._request
        self._request = request
        self._checks = self._checks + 1 if request is not None and request is before else 0
        if self._checks > CHECKS:
            self._heartbeats.lapse()

    def _run(self) -> None:
        while not self._end.wait(self._heartbeats.wire.timeout / CHECKS):
            try:
                self.check()
            except Exception:  # a defect must not end the checks
                log.exception("lapses.failed")


@dataclass(eq=False)
class Revocation:
    """Ends leases that others have ended: handed over, cancelled, or found to be lost.

    It takes them off the table and stops their bodies. Safe to use from any thread.
    """

    table: Table
    ledger: Ledger
    on_loop: OnLoop

    def lost(self, attempt: Attempt, why: str) -> None:
        """End an attempt whose lease is lost."""
        if self.table.lose(attempt):
            self.ledger.lost(attempt, why)
            self._end(attempt, "lost")

    def released(self, tasks: Sequence[tuple[str, int]]) -> None:
        """End attempts that a steward has handed over, taking this member for dead."""
        for task, number in tasks:
            attempt = self.table.find(task, number)
            if attempt is not None:
                self.lost(attempt, "taken")

    def cancelled(self, tasks: Sequence[str]) -> None:
        """End attempts of jobs that were cancelled."""
        for attempt in self.table.held():
            if attempt.task in tasks and self.table.lose(attempt):
                self._end(attempt, "cancelled")

    def _end(self, attempt: Attempt, outcome: str) -> None:
        self.ledger.ended(attempt, outcome)
        self.on_loop.soon(attempt.body.stop)

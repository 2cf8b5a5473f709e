"""Attempts: claims of jobs by this member, each from the granted lease to its end."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.presence import Holding
from resonate_fleet.member.threads import ThreadCall


def _now() -> float:
    return time.monotonic()


class Callee(NamedTuple):
    """The function that a job calls, as this member knows it.

    `label`: `name`, or past version 1 `name@version`. `suspends`: it can wait durably, so that a
    later claim may be a resume.
    """

    name: str
    label: str
    known: bool = True
    suspends: bool = False


@dataclass(eq=False, slots=True)
class Lease:
    """The times of a lease. `Table` says whether it is held."""

    #: When the last confirmed heartbeat, or the claim, was sent: the lease was valid then.
    stood: float = field(default_factory=_now)
    #: When the write that ends the attempt was sent, None while there is none: `Table.writing`.
    wrote_at: float | None = None

    @property
    def writing(self) -> bool:
        """Say whether the attempt's outcome is on its way to the server."""
        return self.wrote_at is not None


@dataclass(eq=False, slots=True)
class Body:
    """What an attempt runs: tasks of the event loop, and calls in threads."""

    tasks: set[asyncio.Task[object]] = field(default_factory=set)
    calls: set[ThreadCall] = field(default_factory=set)
    #: The function has been entered at least once, so its arguments fit.
    entered: bool = False
    stopping: bool = False

    def stop(self) -> None:
        """Stop it. To be called on the event loop.

        A coroutine is cancelled where it waits. A thread gets an exception when it next runs Python
        code; a call that blocks in C, like `time.sleep`, ends first.
        """
        self.stopping = True
        for call in list(self.calls):
            call.stop()
        for task in list(self.tasks):
            task.cancel()


@dataclass(eq=False, slots=True)
class Failure:
    """What went wrong in an attempt."""

    #: What the function raised last: type and text; these with the place; the traceback.
    raised: str = ""
    error: str = ""
    traceback: str = ""
    #: Why the SDK cannot go on, and whether every further attempt would fail the same way.
    trouble: str = ""
    hopeless: bool = False


@dataclass(eq=False, slots=True)
class Attempt:
    """A lease that this member holds and what runs under it.

    `version` is the task's version after the claim: the attempt's number and the fencing token.
    Times are of the monotonic clock.
    """

    task: str
    version: int
    callee: Callee
    #: Tags of the job's promise, for tracing.
    tags: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=_now)
    lease: Lease = field(default_factory=Lease)
    body: Body = field(default_factory=Body)
    failure: Failure = field(default_factory=Failure)
    #: When the steps without a checkpoint began, by promise.
    steps: dict[str, float] = field(default_factory=dict)
    #: Durable waits that were over when the function reached them: each may have cost a claim.
    durable_waits: int = 0

    @property
    def job(self) -> str:
        return root_of(self.task)

    @property
    def function(self) -> str:
        return self.callee.name

    def seconds(self) -> float:
        return _now() - self.began

    def writing_for(self) -> float:
        """Return for how many seconds its outcome has been on its way, 0 if it is not."""
        return _now() - self.lease.wrote_at if self.lease.wrote_at is not None else 0.0


#: The attempt that the running code belongs to.
current: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


class Table:
    """The leases that this member holds. Safe to use from any thread.

    `most` bounds the attempts of a function, by its label.
    """

    def __init__(self, most: Mapping[str, int] = MappingProxyType({})) -> None:
        self._most = most
        self._held: dict[str, Attempt] = {}
        self._lock = threading.Lock()
        #: Called with each lease that is added (True) or taken off (False).
        self.changed: Callable[[Attempt, bool], None] = lambda _attempt, _held: None

    def __len__(self) -> int:
        return len(self._held)

    def add(self, attempt: Attempt) -> None:
        with self._lock:
            self._held[attempt.task] = attempt
            self.changed(attempt, True)

    def find(self, task: str, version: int) -> Attempt | None:
        """Return the attempt while its lease is held."""
        attempt = self._held.get(task)
        return attempt if attempt is not None and attempt.version == version else None

    def holds(self, attempt: Attempt) -> bool:
        return self._held.get(attempt.task) is attempt

    def finish(self, attempt: Attempt) -> bool:
        """Take the attempt off; False if it is off already: whoever did it reports the end."""
        with self._lock:
            return self._drop(attempt)

    @contextmanager
    def writing(self, attempt: Attempt) -> Iterator[bool]:
        """Stand around the write that ends an attempt: `lose` leaves it alone until the answer.

        Yields whether the lease is held. Where it is not, nothing may be sent.
        """
        with self._lock:
            attempt.lease.wrote_at = _now() if self.holds(attempt) else None
        try:
            yield attempt.lease.writing
        finally:
            attempt.lease.wrote_at = None

    def lose(self, attempt: Attempt) -> bool:
        """Take off an attempt whose lease is gone; False if it is off already or is being written.

        The answer to such a write decides: the server may have accepted it.
        """
        with self._lock:
            return not attempt.lease.writing and self._drop(attempt)

    def _drop(self, attempt: Attempt) -> bool:
        if not self.holds(attempt):
            return False
        del self._held[attempt.task]
        self.changed(attempt, False)
        return True

    def held(self) -> list[Attempt]:
        with self._lock:
            return list(self._held.values())

    def holdings(self) -> list[Holding]:
        """Return what is held, as stewards hear it."""
        held, now = self.held(), time.time()
        return [Holding(one.task, one.version, one.function, now - one.seconds()) for one in held]

    # Functions with a limit in this member.

    def refuse(self, attempt: Attempt) -> str:
        """Return why an attempt must not be added, "" if it may."""
        label = attempt.callee.label
        return f"{self._most[label]} of {label!r} run here already" if label in self.full() else ""

    def full(self) -> list[str]:
        """Return the labels of the functions whose limit is reached."""
        running = [one.callee.label for one in self.held()] if self._most else []
        return [label for label, most in self._most.items() if running.count(label) >= most]

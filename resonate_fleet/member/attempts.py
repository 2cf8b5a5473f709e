"""One attempt: a claim of a job by this member, from the granted lease to its end."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.presence import Holding
from resonate_fleet.member.threads import Run

#: Attempts after which a job that none can bring to an end is rejected with the reason.
ENOUGH = 3


def _now() -> float:
    return time.monotonic()


class Callee(NamedTuple):
    """The function that a job calls, as this member knows it; the same for all its attempts.

    `label` is the name, with the version past the first. `suspends`: it can wait durably, and later
    claims may be resumes.
    """

    name: str
    label: str
    known: bool = True
    suspends: bool = False

    @property
    def lacks(self) -> str:
        """The label, where the function is not registered here."""
        return "" if self.known else self.label


@dataclass(eq=False, slots=True)
class Lease:
    """How a lease stands. `Table` says whether it is held at all."""

    #: When the claim was sent, or the last heartbeat that was confirmed: the lease stood then.
    stood: float = field(default_factory=_now)
    #: When the write that ends the attempt set out, None where none is on its way.
    wrote_at: float | None = None

    @property
    def writing(self) -> bool:
        """Tell whether the body is over and its outcome on its way to the server."""
        return self.wrote_at is not None


@dataclass(eq=False, slots=True)
class Body:
    """What runs of an attempt: tasks of the event loop, and calls in threads."""

    tasks: set[asyncio.Task[object]] = field(default_factory=set)
    runs: set[Run] = field(default_factory=set)
    #: The function has been entered at least once: its arguments fitted.
    entered: bool = False
    stopping: bool = False

    def stop(self) -> None:
        """Stop it. To be called on the event loop.

        A coroutine is cancelled where it waits; a thread gets an exception as soon as it runs
        Python code again (a call that blocks in C, like `time.sleep`, ends first).
        """
        self.stopping = True
        for run in list(self.runs):
            run.stop()
        for task in list(self.tasks):
            task.cancel()


@dataclass(eq=False, slots=True)
class Failure:
    """What went wrong in an attempt."""

    #: What the function last raised: type and text, the same with its place, its traceback.
    raised: str = ""
    error: str = ""
    traceback: str = ""
    #: Why the SDK cannot go on with it, and whether another attempt would meet the same.
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
    #: When steps that are not checkpointed yet began, by promise.
    steps: dict[str, float] = field(default_factory=dict)
    #: Durable waits that were found settled: each may have cost a claim of its own.
    waits: int = 0

    @property
    def job(self) -> str:
        return root_of(self.task)

    @property
    def function(self) -> str:
        return self.callee.name

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def writing_for(self) -> float:
        """Return the seconds that its outcome has been on its way, 0 where it is not."""
        return time.monotonic() - self.lease.wrote_at if self.lease.wrote_at is not None else 0.0

    @property
    def is_hopeless(self) -> bool:
        """The SDK gives it up, enough others did, and the next one would."""
        return self.callee.known and self.failure.hopeless and self.version >= ENOUGH


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
        #: Told of each lease that is held from now on, or (False) is not any more.
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

    def finish(self, attempt: Attempt) -> bool:
        """Take the attempt off; False where somebody else has done so: then it is their event."""
        with self._lock:
            return self._drop(attempt)

    def write(self, attempt: Attempt) -> bool:
        """Note that a write which ends the attempt sets out; False where its lease is gone."""
        with self._lock:
            attempt.lease.wrote_at = _now() if self._held.get(attempt.task) is attempt else None
            return attempt.lease.writing

    def lose(self, attempt: Attempt) -> bool:
        """Take off an attempt whose lease seems to be gone; False where that is not to be said.

        While a write is on its way its answer decides: the server may have accepted it.
        """
        with self._lock:
            return not attempt.lease.writing and self._drop(attempt)

    def _drop(self, attempt: Attempt) -> bool:
        if self._held.get(attempt.task) is not attempt:
            return False
        del self._held[attempt.task]
        self.changed(attempt, False)
        return True

    def held(self) -> list[Attempt]:
        with self._lock:
            return list(self._held.values())

    def holdings(self) -> list[Holding]:
        """Return what is held as stewards are told of it."""
        now = time.time()
        return [
            Holding(one.task, one.version, one.function, now - one.seconds()) for one in self.held()
        ]

    # Functions that run as many bodies here as they may.

    def refuse(self, attempt: Attempt) -> str:
        """Return why an attempt that is not in the table yet must not run, "" where it may."""
        most = self._most.get(attempt.callee.label)
        if most is None or self._running(attempt.callee.label) < most:
            return ""
        return f"{most} of {attempt.callee.label!r} run here already"

    def full(self) -> list[str]:
        """Return the labels of the functions of which no more may begin."""
        return [label for label, most in self._most.items() if self._running(label) >= most]

    def _running(self, label: str) -> int:
        return sum(one.callee.label == label for one in self.held())

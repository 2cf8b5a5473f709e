"""Submission: each job is sent until the server has confirmed it, or the deadline has come."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from resonate_fleet.contract import words
from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.wire import Promise, Refused, Unreachable
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.settings import ClientSettings

#: Seconds between two tries: the first, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: Longest wait for one answer, in seconds; a server that is up answers in milliseconds.
ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Confirmation:
    """The server has the job. `new` False: it had the id before; `differs`: with another call."""

    job: Job
    new: bool
    differs: bool
    seconds: float


class Observer(Protocol):
    """Hears what submission does; called from several threads, one call at a time."""

    def submitted(self, job: Job) -> None: ...

    def retried(self, job: Job, cause: str) -> None: ...

    def confirmed(self, confirmation: Confirmation) -> None: ...


class GaveUp(Exception):  # noqa: N818 - the server's silence, not a failure of ours
    """Not every job was confirmed. `cause` in one sentence; `unconfirmed` in submission order."""

    def __init__(self, cause: str, unconfirmed: list[Job]) -> None:
        super().__init__(cause)
        self.cause = cause
        self.unconfirmed = unconfirmed


class Submission:
    """Sends `jobs`, in order, over as many connections as the settings allow.

    A repeated `promise.create` returns the promise that is there already, so repeating a try
    whose answer was lost doubles nothing. `who` marks the jobs that this process created;
    `traceparent` gives what each carries to its worker's traces.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        settings: ClientSettings,
        who: str,
        observer: Observer,
        traceparent: Callable[[Job], str] = lambda _: "",
    ) -> None:
        self._settings = settings
        self._who = who
        self._observer = observer
        self._traceparent = traceparent
        self.jobs = jobs
        self._turns = iter(enumerate(jobs))
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._cause = ""
        self._done: set[int] = set()
        self._seen: set[str] = set()
        self._started = self._heard = time.monotonic()

    def run(self) -> None:
        """Submit everything.

        Raises:
            GaveUp: some jobs are unconfirmed.
        """
        self._started = self._heard = time.monotonic()
        count = min(self._settings.connections, len(self.jobs))
        if count == 1:
            self._work()
        else:
            self._work_in_threads(count)
        if len(self._done) < len(self.jobs):
            raise GaveUp(self._cause, self.unconfirmed)

    @property
    def unconfirmed(self) -> list[Job]:
        return [job for index, job in enumerate(self.jobs) if index not in self._done]

    def _work_in_threads(self, count: int) -> None:
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            self._stop.set()

    def _work(self) -> None:
        try:
            with BlockingWire(self._settings.url, self._settings.token) as wire:
                for index, job in self._take():
                    if self._wait_turn(index):
                        self._one(wire, index, job)
        except OSError as error:  # of the journal: a job that cannot be written down is not sent
            self._give_up(str(error))

    def _take(self) -> Iterator[tuple[int, Job]]:
        while not self._stop.is_set():
            with self._lock:
                turn = next(self._turns, None)
            if turn is None:
                return
            yield turn

    def _wait_turn(self, index: int) -> bool:
        """Keep to the rate; return False when submission stopped meanwhile."""
        if not self._settings.rate:
            return True
        due = self._started + index / self._settings.rate
        stopped = self._stop.wait(max(0.0, due - time.monotonic()))
        with self._lock:
            self._heard = max(
                self._heard, due
            )  # silence before anything was due counts for nothing
        return not stopped

    def _one(self, wire: BlockingWire, index: int, job: Job) -> None:
        with self._lock:
            self._observer.submitted(job)
        pause = FIRST_PAUSE
        began = time.monotonic()
        while not self._stop.is_set():
            cause = self._attempt(wire, index, job, began)
            if not cause:
                return
            if self._left() <= 0:
                self._give_up(cause)
                return
            with self._lock:
                self._observer.retried(job, cause)
            self._stop.wait(min(pause, max(self._left(), 0)))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _attempt(self, wire: BlockingWire, index: int, job: Job, began: float) -> str:
        """Try once; return why it is worth another try, or nothing when it is settled."""
        wire.timeout = min(ANSWER_SECONDS, max(self._left(), 0.05))
        try:
            promise = wire.create_promise(
                job.id,
                time.time_ns() // 1_000_000 + round(self._settings.timeout * 1000),
                msgspec.to_builtins(job.call),
                self._tags(job),
            )
        except Unreachable as error:
            return str(error)
        except Refused as error:
            if error.reply.status >= 500 or error.reply.status == 429:
                return f"the server answered {error}"
            self._give_up(f"the server refused {job.id}: {error}")
            return ""
        self._confirm(index, job, promise, time.monotonic() - began)
        return ""

    def _tags(self, job: Job) -> dict[str, str]:
        with self._lock:
            trace = self._traceparent(job)
        made = tags(job.id, self._settings.group, self._who)
        return made | {words.TAG_TRACE: trace} if trace else made

    def _confirm(self, index: int, job: Job, promise: Promise, seconds: float) -> None:
        with self._lock:
            self._heard = time.monotonic()
            self._done.add(index)
            new = promise.tags.get(words.TAG_CLIENT) == self._who and job.id not in self._seen
            self._seen.add(job.id)
            differs = not new and _call(promise) != msgspec.to_builtins(job.call)
            self._observer.confirmed(Confirmation(job, new, differs, seconds))

    def _left(self) -> float:
        return self._heard + self._settings.deadline - time.monotonic()

    def _give_up(self, cause: str) -> None:
        with self._lock:
            self._cause = self._cause or cause
        self._stop.set()


def tags(id_: str, group: str, who: str) -> dict[str, str]:
    """Return the tags of a job, as SDK 0.8.1 sets them for an `rpc`, and who asked.

    A root job is its own origin, branch and parent; every child's id extends it.
    """
    return {
        words.TAG_ORIGIN: id_,
        "resonate:branch": id_,
        "resonate:parent": id_,
        "resonate:scope": "global",
        words.TAG_TARGET: words.anycast(group),
        words.TAG_CLIENT: who,
    }


def _call(promise: Promise) -> object:
    try:
        return promise.param.decoded()
    except ValueError:
        return None

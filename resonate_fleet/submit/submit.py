"""Submission: sends each job until the server has confirmed it, or the deadline has come."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final, Protocol

import msgspec

from resonate_fleet.contract import words
from resonate_fleet.contract.backoff import Backoff
from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.clock import ServerClock
from resonate_fleet.contract.wire import Promise, Refused, Unreachable
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.settings import SubmitSettings

#: Seconds between two tries: the first, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: Longest wait for one answer, in seconds.
ANSWER_SECONDS = 10.0
#: Most ids that are remembered to notice one that is given twice.
REMEMBERED: Final = 10_000


@dataclass(frozen=True)
class Confirmation:
    """The server has the job. `new`: it had no such id before. `differs`: its call is another."""

    job: Job
    new: bool
    differs: bool
    seconds: float


class Observer(Protocol):
    """Hears what a submission does. Called from several threads, one at a time."""

    def submitted(self, job: Job) -> None: ...

    def retried(self, job: Job, cause: str) -> None: ...

    def confirmed(self, confirmation: Confirmation) -> None: ...


class GaveUp(Exception):  # noqa: N818 - the server's silence, not a failure of ours
    """Not every job was confirmed. `cause` in one sentence."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class _Jobs:
    """Jobs in their order. Each is taken once, and is under way until it is done."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._left = enumerate(jobs)
        self._under_way: dict[int, Job] = {}

    def take(self) -> tuple[int, Job] | None:
        taken = next(self._left, None)
        if taken is not None:
            self._under_way[taken[0]] = taken[1]
        return taken

    def done(self, index: int) -> None:
        del self._under_way[index]

    def rest(self) -> Iterator[Job]:
        """Yield the jobs that are not done, in order. To be called once."""
        begun = (job for _, job in sorted(self._under_way.items(), key=lambda one: one[0]))
        return chain(begun, (job for _, job in self._left))


class Submission:
    """Sends `jobs`, in order, over as many connections as the settings allow.

    `jobs` may be longer than memory: it is read one by one. A repeated `promise.create` returns the
    promise that exists, so another try after a lost answer doubles nothing. `who` marks the jobs
    that this process created. `traceparent` returns a job's trace context for its worker.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        settings: SubmitSettings,
        who: str,
        observer: Observer,
        traceparent: Callable[[Job], str] = lambda _: "",
        *,
        clock: ServerClock | None = None,
    ) -> None:
        self._settings = settings
        self._who = who
        self._observer = observer
        self._traceparent = traceparent
        self._jobs = _Jobs(jobs)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._cause = ""
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._started = self._heard = time.monotonic()
        self._clock = clock or ServerClock()

    def run(self, count: int) -> None:
        """Submit all jobs. No more connections are opened than `count`, their number.

        Raises:
            GaveUp: some jobs are unconfirmed.
        """
        self._started = self._heard = time.monotonic()
        connections = min(self._settings.connections, count)
        if connections == 1:
            self._work()
        else:
            self._work_in_threads(connections)
        if self._cause:
            raise GaveUp(self._cause)

    def unconfirmed(self) -> Iterator[Job]:
        """Yield the unconfirmed jobs, in order. To be called once."""
        return self._jobs.rest()

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
            url, token = self._settings.url, self._settings.token
            with BlockingWire(url, token, clock=self._clock) as wire:
                for index, job in self._take():
                    if self._wait_for_rate(index):
                        self._one(wire, index, job)
        except OSError as error:  # of the journal: a job that cannot be journalled is not sent
            self._give_up(str(error))

    def _take(self) -> Iterator[tuple[int, Job]]:
        while not self._stop.is_set():
            with self._lock:
                taken = self._jobs.take()
            if taken is None:
                return
            yield taken

    def _wait_for_rate(self, index: int) -> bool:
        """Keep to the rate; return False if the submission stopped meanwhile."""
        if not self._settings.rate:
            return True
        due = self._started + index / self._settings.rate
        stopped = self._stop.wait(max(0.0, due - time.monotonic()))
        with self._lock:  # the deadline counts only from when a job is due
            self._heard = max(self._heard, due)
        return not stopped

    def _one(self, wire: BlockingWire, index: int, job: Job) -> None:
        with self._lock:
            self._observer.submitted(job)
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
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
            self._stop.wait(min(pauses.next(), max(self._left(), 0)))

    def _attempt(self, wire: BlockingWire, index: int, job: Job, began: float) -> str:
        """Try once; return why another try is needed, "" if none is."""
        wire.timeout = min(ANSWER_SECONDS, max(self._left(), 0.05))
        try:
            if not self._clock.known:  # with a clock that is behind, jobs would have timed out
                wire.call("promise.get", {"id": "what-time-is-it"}, accept=(401, 403, 404))
            promise = wire.create_promise(
                job.id, self._timeout_at(job), msgspec.to_builtins(job.call), self._tags(job)
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

    def _timeout_at(self, job: Job) -> int:
        """Return when the job fails unless it is done, Unix milliseconds."""
        seconds = self._settings.timeout if job.timeout is None else job.timeout
        return self._clock.now_ms() + round(seconds * 1000)

    def _tags(self, job: Job) -> dict[str, str]:
        with self._lock:
            trace = self._traceparent(job)
        made = {**job.tags, **tags(job.id, job.group or self._settings.group, self._who)}
        return made | {words.TAG_TRACE: trace} if trace else made

    def _confirm(self, index: int, job: Job, promise: Promise, seconds: float) -> None:
        with self._lock:
            self._heard = time.monotonic()
            self._jobs.done(index)
            new = promise.tags.get(words.TAG_CLIENT) == self._who and job.id not in self._seen
            self._remember(job.id)
            differs = not new and _call(promise) != msgspec.to_builtins(job.call)
            self._observer.confirmed(Confirmation(job, new, differs, seconds))

    def _remember(self, id: str) -> None:
        self._seen[id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _left(self) -> float:
        return self._heard + self._settings.deadline - time.monotonic()

    def _give_up(self, cause: str) -> None:
        with self._lock:
            self._cause = self._cause or cause
        self._stop.set()


def tags(id_: str, group: str, who: str) -> dict[str, str]:
    """Return a job's tags: those that SDK 0.8.1 sets for an `rpc`, and who submitted it.

    A job is its own origin, branch and parent.
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

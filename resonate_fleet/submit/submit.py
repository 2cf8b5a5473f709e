"""Submission: sends each job until the server has confirmed it, or the deadline has come."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import msgspec

from resonate_fleet.contract import words
from resonate_fleet.contract.backoff import Backoff
from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.clock import ServerClock
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.wire import Promise, Refused, Unreachable
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.settings import SubmitSettings

#: Seconds between two tries: the first, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: Longest wait for one answer, in seconds.
ANSWER_SECONDS = 10.0
#: Most ids that are remembered to notice one that is given twice.
REMEMBERED: Final = 10_000
#: Tags that two jobs of one id should share.
_COMPARED: Final = (words.TAG_TARGET, words.TAG_PRIORITY, words.TAG_KEY)


@dataclass(frozen=True)
class Confirmation:
    """The server has the job. `new`: it had no such id before.

    `differs`: its call is another, or its group, priority or key. `own`: this
    process created what the server has, for this job or an earlier one of the same id.
    """

    job: Job
    new: bool
    differs: bool
    seconds: float
    own: bool = True


class Observer:
    """Hears what a submission does; this one does nothing. Called by one thread at a time."""

    def submitted(self, job: Job) -> None: ...

    def traceparent(self, _: Job) -> str:
        """Return the trace context for the job's worker (W3C `traceparent`), "" for none."""
        return ""

    def retried(self, job: Job, cause: str) -> None: ...

    def confirmed(self, confirmation: Confirmation) -> None: ...

    def close(self) -> None: ...


class GaveUp(Exception):  # noqa: N818 - the server's silence, not a failure of ours
    """Not every job was confirmed; the text is the cause, in one sentence."""


class Submission:
    """Sends `jobs`, in order, over as many connections as the settings allow.

    `jobs` may be longer than memory: it is read one by one. A repeated `promise.create` returns the
    promise that exists, so another try after a lost answer doubles nothing. `who` marks the jobs
    that this process created.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        settings: SubmitSettings,
        who: str,
        observers: Sequence[Observer],
        clock: ServerClock | None = None,
    ) -> None:
        self._settings = settings
        self._who = who
        self._observers = observers
        #: Jobs that nobody has taken yet, and those that are under way, by their number.
        self._left = enumerate(jobs)
        self._under_way: dict[int, Job] = {}
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
            threads = [threading.Thread(target=self._work, daemon=True) for _ in range(connections)]
            try:
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            finally:
                self._stop.set()
        if self._cause:
            raise GaveUp(self._cause)

    def unconfirmed(self) -> Iterator[Job]:
        """Yield the unconfirmed jobs, in order. To be called once."""
        begun = (job for _, job in sorted(self._under_way.items(), key=lambda one: one[0]))
        return chain(begun, (job for _, job in self._left))

    def _work(self) -> None:
        try:
            url, token = self._settings.url, self._settings.token
            with BlockingWire(url, token, clock=self._clock) as wire:
                for index, job in self._take():
                    if self._wait_for_rate(index):
                        self._send(wire, index, job)
        except (OSError, CommandFailed) as error:  # of the journal, or of the jobs themselves
            self._give_up(str(error))

    def _take(self) -> Iterator[tuple[int, Job]]:
        while not self._stop.is_set():
            with self._lock:
                taken = next(self._left, None)
                if taken is None:
                    return
                self._under_way[taken[0]] = taken[1]
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

    def _send(self, wire: BlockingWire, index: int, job: Job) -> None:
        with self._lock:
            for one in self._observers:
                one.submitted(job)
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        began = time.monotonic()
        while not self._stop.is_set():
            cause = self._attempt(wire, index, job, began)
            if not cause:
                return
            if self._patience() <= 0:
                self._give_up(cause)
                return
            with self._lock:
                for one in self._observers:
                    one.retried(job, cause)
            self._stop.wait(min(pauses.next(), max(self._patience(), 0)))

    def _attempt(self, wire: BlockingWire, index: int, job: Job, began: float) -> str:
        """Try once; return why another try is needed, "" if none is."""
        wire.timeout = min(ANSWER_SECONDS, max(self._patience(), 0.05))
        call: object = msgspec.to_builtins(job.call)
        tags = self._tags(job)
        try:
            if not self._clock.known:  # with a clock that is behind, jobs would have timed out
                wire.call("promise.get", {"id": "what-time-is-it"}, accept=(401, 403, 404))
            promise = wire.create_promise(job.id, self._timeout_at(job), call, tags)
        except Unreachable as error:
            return str(error)
        except Refused as error:
            if error.passes(self._settings.token, taken=bool(self._seen)):
                return f"the server answered {error}"
            self._give_up(f"the server refused {job.id}: {error}")
            return ""
        own = promise.tags.get(words.TAG_CLIENT) == self._who
        with self._lock:
            self._heard = time.monotonic()
            del self._under_way[index]
            new = own and job.id not in self._seen
            self._seen[job.id] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            differs = _call(promise) != call or any(
                promise.tags.get(tag) != tags.get(tag) for tag in _COMPARED
            )
            known = Confirmation(job, new, differs, self._heard - began, own)
            for one in self._observers:
                one.confirmed(known)
        return ""

    def _timeout_at(self, job: Job) -> int:
        """Return when the job fails unless it is done, Unix milliseconds."""
        seconds = self._settings.timeout if job.timeout is None else job.timeout
        return self._clock.now_ms() + round(seconds * 1000)

    def _tags(self, job: Job) -> dict[str, str]:
        """Return a job's tags: those that SDK 0.8.1 sets for an `rpc`, and who submitted it."""
        with self._lock:
            trace = "".join(one.traceparent(job) for one in self._observers)
        return {
            **job.tags,
            **dict.fromkeys(words.OWN_TAGS, job.id),
            "resonate:scope": "global",
            words.TAG_TARGET: words.anycast(job.group or self._settings.group),
            words.TAG_CLIENT: self._who,
            **({words.TAG_TRACE: trace} if trace else {}),
        }

    def _patience(self) -> float:
        """Return for how many seconds the server may still be silent."""
        return self._heard + self._settings.deadline - time.monotonic()

    def _give_up(self, cause: str) -> None:
        with self._lock:
            self._cause = self._cause or cause
        self._stop.set()


def _call(promise: Promise) -> object:
    try:
        return promise.param.decoded()
    except ValueError:
        return None

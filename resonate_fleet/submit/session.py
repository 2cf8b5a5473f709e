"""Runs a submission, from its jobs to an exit code; waits for results."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from resonate_fleet.contract import exits
from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.clock import ServerClock
from resonate_fleet.contract.journal import ClientEnded, ClientStarted
from resonate_fleet.contract.options import tell
from resonate_fleet.contract.recorder import Log, open_journal
from resonate_fleet.contract.settings import Mistake, effective
from resonate_fleet.contract.shown import named
from resonate_fleet.contract.start import STOPS
from resonate_fleet.contract.wire import Promise, Refused, Unreachable
from resonate_fleet.submit.load import Jobs
from resonate_fleet.submit.output import Output, Recorder, log_of, progress_bar, state_of
from resonate_fleet.submit.settings import SubmitSettings
from resonate_fleet.submit.submit import GaveUp, Observer, Submission

#: Exit codes by a job's state, the gravest last. In any other it ended without its result.
_CODES: Final = {"resolved": exits.OK, "pending": exits.INCONCLUSIVE, "unknown": exits.USAGE}
_GRAVITY: Final = [exits.OK, exits.INCONCLUSIVE, exits.BROKEN, exits.USAGE]
#: Pause between two rounds of reads: while results come, and when none has come for a while.
SOON, LATER = 0.05, 0.5
#: Promises read in one round, so that waiting for many jobs does not load the server.
WINDOW = 64


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to submit: jobs that can be iterated over again.

    `wait`: how long to wait for the results, in seconds; None: not at all. `bulk`: show a progress
    bar and a summary instead of ids.
    """

    settings: SubmitSettings
    jobs: Jobs
    seed: int | None = None
    wait: float | None = None
    json: bool = False
    bulk: bool = False


def submit(order: Order, command: str) -> int:
    """Submit; return the exit code. Lines for people begin with `command`.

    Raises:
        Mistake: a setting needs an extra that is not installed.
    """
    for number in STOPS:  # each ends it like Ctrl-C
        signal.signal(number, signal.default_int_handler)
    settings = order.settings
    who = f"{settings.client}-{os.urandom(3).hex()}"
    tracing = traces(settings.traces, who)
    log = log_of(settings.log_format, who)
    log.log(20, "settings", **effective(settings))
    journal = open_journal("CLIENT_JOURNAL", who, settings.journal, log=log)
    out = Output(settings.group, json=order.json, ids=not (order.bulk and sys.stdout.isatty()))
    recorder = Recorder(out, journal, command)
    clock = ServerClock(off=recorder.clock_off)
    journal.write(ClientStarted(group=settings.group, count=len(order.jobs), seed=order.seed))
    with _metrics(settings.port, log) as metrics, closing(tracing), closing(journal):
        observers = (recorder, tracing, *metrics)
        submission = Submission(order.jobs, settings, who, observers, clock)
        code = _run(order, submission, recorder)
        unconfirmed = len(order.jobs) - recorder.count
        journal.write(ClientEnded(confirmed=recorder.count, unconfirmed=unconfirmed))
    if out.lost:
        recorder.say(f"standard output cannot be written: {out.lost}; the jobs are sent")
    return code or (exits.FAILED if out.lost else exits.OK)


def _run(order: Order, submission: Submission, recorder: Recorder) -> int:
    try:
        if order.bulk:
            _with_bar(order, submission, recorder)
        else:
            submission.run(len(order.jobs))
        if order.wait is None:
            return exits.OK
        ids = dict.fromkeys(job.id for job in order.jobs)
        return await_results(order.settings, list(ids), order.wait, recorder.out, recorder.command)
    except GaveUp as error:
        if order.bulk:
            recorder.say(f"{error}; the same command again submits the rest and doubles nothing")
        else:
            left = [job.id for job in submission.unconfirmed()]
            recorder.out.unconfirmed(left)
            recorder.say(f"{len(left)} not confirmed: {error}: {named(left)}")
    except (Unreachable, Refused) as error:
        recorder.say(f"confirmed, but the results could not be read: {error}")
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    return exits.FAILED


def _with_bar(order: Order, submission: Submission, recorder: Recorder) -> None:
    began = time.monotonic()
    try:
        with progress_bar("confirmed", len(order.jobs)) as recorder.advance:
            submission.run(len(order.jobs))
    finally:
        took = max(time.monotonic() - began, 0.001)
        again = recorder.count - recorder.new
        there = f", {again} of them were there before" if again else ""
        if recorder.differing:
            there += f", {recorder.differing} not the same"
        rate = f"{recorder.count / took:.0f} a second"
        recorder.say(f"{recorder.count} of {len(order.jobs)} jobs are confirmed{there}; {rate}")


def traces(kind: str, who: str) -> Observer:
    """Return traces as `CLIENT_TRACES` says: `off` or `otlp`.

    Raises:
        Mistake: the extra `otel` is missing.
    """
    if kind == "off":
        return Observer()
    try:
        from resonate_fleet.submit.otel import otlp  # noqa: PLC0415 - an extra that is seldom there
    except ImportError as error:
        raise Mistake(
            f"CLIENT_TRACES is {kind!r}, which needs the extra `otel` ({error}); accepted: `off`"
        ) from None
    return otlp(who)


@contextmanager
def _metrics(port: int | None, log: Log) -> Iterator[list[Observer]]:
    if port is None:
        yield []
        return
    from resonate_fleet.contract.pages import Pages  # noqa: PLC0415 - slow to import, rarely asked for
    from resonate_fleet.submit.metrics import SubmissionMetrics  # noqa: PLC0415 - the same

    metrics = SubmissionMetrics()
    every = "0.0.0.0"  # noqa: S104 - scrapes come from outside the container
    with Pages(every, port, {"/metrics": metrics.page}) as pages:
        log.log(20, "metrics.served", port=pages.port)
        yield [metrics]


# Results.


def await_results(
    settings: SubmitSettings, ids: list[str], seconds: float, out: Output, command: str
) -> int:
    """Print how each of `ids` ends, waiting `seconds` at most; return the exit code.

    Raises:
        Unreachable, Refused: the results cannot be read.
    """
    codes = [exits.OK]
    with (
        BlockingWire(settings.url, settings.token) as wire,
        progress_bar("ended", len(ids)) as advance,
    ):
        for id_, promise in _ends(wire, ids, settings.deadline, seconds):
            out.ended(id_, promise)
            advance(1)
            codes.append(_CODES.get(state_of(promise), exits.BROKEN))
            if promise is None:
                tell(f"{command}: there is no job {id_!r}")
    return max(codes, key=_GRAVITY.index)


def _ends(
    wire: BlockingWire, ids: Sequence[str], deadline: float, seconds: float
) -> Iterator[tuple[str, Promise | None]]:
    """Yield each of `ids` with its promise when it has ended; None if the server has none.

    After `seconds` those that have not ended are yielded as they are. Each is read at least once.

    Raises:
        Unreachable, Refused: the server did not answer for `deadline` seconds, or it will not.
    """
    pending = deque(dict.fromkeys(ids))
    read = False
    end = time.monotonic() + seconds
    pause = SOON
    late = False
    while pending:
        ended = 0
        for _ in range(len(pending) if late else min(len(pending), WINDOW)):
            id_ = pending.popleft()
            promise = _patiently(wire, id_, deadline, taken=read)
            read = True
            if promise is not None and promise.state == "pending" and not late:
                pending.append(id_)
            else:
                ended += 1
                yield id_, promise
        pause = SOON if ended else min(pause * 1.3, LATER)
        if pending and time.monotonic() < end:
            time.sleep(min(pause, max(end - time.monotonic(), 0)))
        late = time.monotonic() >= end


def _patiently(wire: BlockingWire, id_: str, deadline: float, *, taken: bool) -> Promise | None:
    end = time.monotonic() + deadline
    while True:
        try:
            return wire.promise(id_)
        except (Unreachable, Refused) as error:
            lasts = isinstance(error, Refused) and not error.passes(wire.token, taken=taken)
            if lasts or time.monotonic() >= end:
                raise
            time.sleep(LATER)

"""Runs a submission, from its jobs to an exit code."""

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from resonate_fleet.contract import exits
from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.clock import ServerClock
from resonate_fleet.contract.journal import ClientEnded, ClientStarted
from resonate_fleet.contract.options import OutputFolder, tell
from resonate_fleet.contract.recorder import Journal, Log
from resonate_fleet.contract.settings import effective
from resonate_fleet.contract.shown import named
from resonate_fleet.contract.start import STOPS
from resonate_fleet.contract.wire import Refused, Unreachable
from resonate_fleet.submit import log, results
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.output import Output, progress, state_of
from resonate_fleet.submit.recorder import Recorder
from resonate_fleet.submit.settings import SubmitSettings
from resonate_fleet.submit.submit import GaveUp, Submission
from resonate_fleet.submit.tracing import traces


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to submit: `count` jobs, which can be iterated over again.

    `wait`: how long to wait for the results, in seconds; None: not at all. `bulk`: show a progress
    bar and a summary instead of ids.
    """

    settings: SubmitSettings
    jobs: Iterable[Job]
    count: int
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
    log_ = log.make(settings.log_format, who)
    log_.log(20, "settings", **effective(settings))
    journal = _journal(settings, who, log_)
    shown = not (order.bulk and sys.stdout.isatty())
    out = Output(settings.group, json=order.json, ids=shown)
    recorder = Recorder(out, journal, lambda line: tell(f"{command}: {line}"))
    recorder.observers.append(tracing)
    clock = ServerClock(off=recorder.clock_off)
    submission = Submission(order.jobs, settings, who, recorder, tracing.traceparent, clock=clock)
    journal.write(ClientStarted(group=settings.group, count=order.count, seed=order.seed))
    with _metrics(settings.port, recorder, log_), closing(tracing), closing(journal):
        code = _guarded(order, submission, recorder, out, command)
        unconfirmed = order.count - recorder.count
        journal.write(ClientEnded(confirmed=recorder.count, unconfirmed=unconfirmed))
    if out.lost:
        tell(f"{command}: standard output cannot be written: {out.lost}; the jobs are sent")
    return code or (exits.FAILED if out.lost else exits.OK)


def _journal(settings: SubmitSettings, who: str, log_: Log) -> Journal:
    if settings.journal is not None:
        OutputFolder(settings.journal).check("CLIENT_JOURNAL")
    return Journal(who, settings.journal, log_)


def _guarded(
    order: Order, submission: Submission, recorder: Recorder, out: Output, command: str
) -> int:
    try:
        _send(order, submission, recorder, command)
        if order.wait is None:
            return exits.OK
        ids = dict.fromkeys(job.id for job in order.jobs)
        return await_results(order.settings, list(ids), order.wait, out, command)
    except GaveUp as error:
        _tell_unconfirmed(order, submission, out, command, error)
    except (Unreachable, Refused) as error:
        tell(f"{command}: confirmed, but the results could not be read: {error}")
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    return exits.FAILED


def _send(order: Order, submission: Submission, recorder: Recorder, command: str) -> None:
    began = time.monotonic()
    if not order.bulk:
        submission.run(order.count)
        return
    try:
        with progress("confirmed", order.count) as recorder.advance:
            submission.run(order.count)
    finally:
        took = max(time.monotonic() - began, 0.001)
        again = recorder.count - recorder.new
        there = f", {again} of them were there before" if again else ""
        if recorder.differing:
            there += f", {recorder.differing} with another call"
        rate = f"{recorder.count / took:.0f} a second"
        tell(f"{command}: {recorder.count} of {order.count} jobs are confirmed{there}; {rate}")


def _tell_unconfirmed(
    order: Order, submission: Submission, out: Output, command: str, error: GaveUp
) -> None:
    if order.bulk:
        tell(
            f"{command}: {error.cause}; the same command again submits the rest and doubles nothing"
        )
        return
    ids = [job.id for job in submission.unconfirmed()]
    out.unconfirmed(ids)
    tell(f"{command}: {len(ids)} not confirmed: {error.cause}: {named(ids)}")


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
        progress("ended", len(ids)) as advance,
    ):
        for id_, promise in results.wait(wire, ids, settings.deadline, seconds):
            out.ended(id_, promise)
            advance(1)
            codes.append(CODES.get(state_of(promise), exits.BROKEN))
            if promise is None:
                tell(f"{command}: there is no job {id_!r}")
    return max(codes, key=_GRAVITY.index)


#: Exit codes by a job's state. In any other state it ended without its result.
CODES: Final = {"resolved": exits.OK, "pending": exits.INCONCLUSIVE, "unknown": exits.USAGE}
_GRAVITY: Final = [exits.OK, exits.INCONCLUSIVE, exits.BROKEN, exits.USAGE]


@contextmanager
def _metrics(port: int | None, recorder: Recorder, log_: Log) -> Iterator[None]:
    if port is None:
        yield
        return
    from resonate_fleet.contract.pages import Pages  # noqa: PLC0415 - slow to import, rarely asked for
    from resonate_fleet.submit.metrics import SubmissionMetrics  # noqa: PLC0415 - the same

    metrics = SubmissionMetrics()
    recorder.observers.append(metrics)
    every = "0.0.0.0"  # noqa: S104 - scrapes come from outside the container
    with Pages(every, port, {"/metrics": metrics.page}) as pages:
        log_.log(20, "metrics.served", port=pages.port)
        yield

"""The client from its options to an exit code."""

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager

from resonate_fleet.contract import exits
from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.journal import ClientEnded, ClientStarted, Journal, Log
from resonate_fleet.contract.settings import Mistake, effective
from resonate_fleet.contract.wire import Refused, Unreachable
from resonate_fleet.submit import load, log, options, results
from resonate_fleet.submit.options import Options
from resonate_fleet.submit.output import Output, progress, state_of
from resonate_fleet.submit.submit import GaveUp, Submission
from resonate_fleet.submit.tracing import NotInstalled, traces
from resonate_fleet.submit.witness import Witness

#: Ids that one line names at most; `--json` prints them all.
NAMED = 20


def run(asked: Namespace) -> int:
    """Run the client; return its exit code.

    Raises:
        Mistake: what was asked for cannot be.
    """
    for number in (signal.SIGTERM, signal.SIGINT):  # both end it like Ctrl-C
        signal.signal(number, signal.default_int_handler)
    try:
        return _run(options.parse(asked, os.environ))
    except NotInstalled as error:
        raise Mistake(str(error)) from None


def _run(asked: Options) -> int:
    settings = asked.settings
    who = f"{settings.client}-{os.urandom(3).hex()}"
    tracing = traces(settings.traces, who)
    log_ = log.make(settings.log_format, who)
    log_.log(20, "settings", **effective(settings))
    journal = Journal(who, settings.journal, log_)
    jobs = load.make(settings, asked.ids, asked.args, new_id)
    witness = Witness(Output(settings.group, json=asked.json), journal, _say)
    witness.observers.append(tracing)
    submission = Submission(jobs, settings, who, witness, tracing.traceparent)
    journal.write(ClientStarted(group=settings.group, count=len(jobs), seed=settings.seed))
    with _metrics(settings.port, witness, log_), closing(tracing), closing(journal):
        code = _guarded(asked, submission)
        journal.write(ClientEnded(confirmed=witness.count, unconfirmed=len(jobs) - witness.count))
    return code


def _guarded(asked: Options, submission: Submission) -> int:
    try:
        submission.run()
        return _wait(asked, [job.id for job in submission.jobs]) if asked.wait else exits.OK
    except GaveUp as error:
        ids = [job.id for job in error.unconfirmed]
        Output(asked.settings.group, json=asked.json).unconfirmed(ids)
        more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
        _say(f"{len(ids)} not confirmed: {error.cause}: {' '.join(ids[:NAMED])}{more}")
    except (Unreachable, Refused) as error:
        _say(f"confirmed, but the results could not be read: {error}")
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    return exits.FAILED


def _wait(asked: Options, ids: list[str]) -> int:
    settings = asked.settings
    out = Output(settings.group, json=asked.json)
    code = exits.OK
    with (
        BlockingWire(settings.url, settings.token) as wire,
        progress(len(set(ids))) as bar,
    ):
        for id_, promise in results.wait(wire, ids, settings.deadline):
            out.ended(id_, promise)
            bar.advance()
            if state_of(promise) != "resolved":
                code = exits.BROKEN
    return code


@contextmanager
def _metrics(port: int | None, witness: Witness, log_: Log) -> Iterator[None]:
    if port is None:
        yield
        return
    from resonate_fleet.contract.pages import Pages  # noqa: PLC0415
    from resonate_fleet.submit.metrics import Metrics  # noqa: PLC0415 - slow to import and rarely asked for

    metrics = Metrics()
    witness.observers.append(metrics)
    every = "0.0.0.0"  # noqa: S104 - scrapes come from outside the container
    with Pages(every, port, {"/metrics": metrics.page}) as pages:
        log_.log(20, "metrics.served", port=pages.port)
        yield


def _say(line: str) -> None:
    sys.stderr.write(f"client: {line}\n")

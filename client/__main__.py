"""`python -m client`: fire and forget, but not before the server has confirmed."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from client import load, log, options, output, results
from client.options import Options
from client.submit import Confirmation, GaveUp, Observer, Submission
from contract import exits
from contract.blocking import BlockingWire
from contract.ids import new_id
from contract.journal import (
    ClientEnded,
    ClientStarted,
    Confirmed,
    Journal,
    Log,
    ServerBack,
    ServerLost,
)
from contract.settings import BadSettings, effective
from contract.wire import Refused, Unreachable

#: Ids that one line names at most; `--json` prints them all.
NAMED = 20


class Witness:
    """Journals, counts and prints what submission does."""

    def __init__(self, asked: Options, journal: Journal) -> None:
        self._group = asked.settings.group
        self._journal = journal
        self._output = output.Output(self._group, json=asked.json)
        self._silent_since: float | None = None
        self.count = 0
        self.observers: list[Observer] = []

    def submitted(self, job: load.Job) -> None:
        for observer in self.observers:
            observer.submitted(job)

    def retried(self, job: load.Job, cause: str) -> None:
        if self._silent_since is None:  # one line a gap, not one a try
            self._silent_since = time.monotonic()
            self._journal.write(ServerLost(why=cause), level=30)
        for observer in self.observers:
            observer.retried(job, cause)

    def confirmed(self, one: Confirmation) -> None:
        self.count += 1
        if self._silent_since is not None:
            gap, self._silent_since = time.monotonic() - self._silent_since, None
            self._journal.write(ServerBack(seconds=round(gap, 3)))
        self._journal.write(
            Confirmed(
                job=one.job.id,
                group=self._group,
                function=one.job.call.func,
                cost=one.job.cost,
                new=one.new,
            )
        )
        self._output.confirmed(one)
        if one.differs:
            _say(f"{one.job.id} was there already, with another call; that one counts")
        for observer in self.observers:
            observer.confirmed(one)


def main(arguments: list[str] | None = None) -> int:
    """Run the client; return its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
    try:
        asked = options.parse(sys.argv[1:] if arguments is None else arguments, os.environ)
    except BadSettings as error:
        for line in error.lines:
            _say(line)
        return exits.USAGE
    try:
        return _run(asked)
    except BrokenPipeError:  # whoever read our output has gone; the journal has the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED


def _run(asked: Options) -> int:
    settings = asked.settings
    who = f"{settings.client}-{os.urandom(3).hex()}"
    log_ = log.make(settings.log_format, who)
    log_.log(20, "settings", **effective(settings))
    journal = Journal(who, settings.journal, log_)
    jobs = load.make(settings, asked.ids, asked.args, new_id)
    witness = Witness(asked, journal)
    journal.write(ClientStarted(group=settings.group, count=len(jobs), seed=settings.seed))
    with _metrics(settings.port, witness, log_):
        code = _guarded(asked, lambda: _submit_and_wait(asked, jobs, who, witness))
    journal.write(ClientEnded(confirmed=witness.count, unconfirmed=len(jobs) - witness.count))
    journal.close()
    return code


def _guarded(asked: Options, work: Callable[[], int]) -> int:
    try:
        return work()
    except GaveUp as error:
        ids = [job.id for job in error.unconfirmed]
        output.Output(asked.settings.group, json=asked.json).unconfirmed(ids)
        more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
        _say(f"{len(ids)} not confirmed: {error.cause}: {' '.join(ids[:NAMED])}{more}")
    except (Unreachable, Refused) as error:
        _say(f"confirmed, but the results could not be read: {error}")
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    return exits.FAILED


def _submit_and_wait(asked: Options, jobs: list[load.Job], who: str, witness: Witness) -> int:
    Submission(jobs, asked.settings, who, witness).run()
    return _wait(asked, [job.id for job in jobs]) if asked.wait else exits.OK


def _wait(asked: Options, ids: list[str]) -> int:
    settings = asked.settings
    out = output.Output(settings.group, json=asked.json)
    code = exits.OK
    with (
        BlockingWire(settings.url, settings.token or None) as wire,
        output.progress(len(set(ids))) as bar,
    ):
        for id_, promise in results.wait(wire, ids, settings.deadline):
            out.ended(id_, promise)
            bar.advance()
            if output.state_of(promise) != "resolved":
                code = exits.BROKEN
    return code


@contextmanager
def _metrics(port: int | None, witness: Witness, log_: Log) -> Iterator[None]:
    if port is None:
        yield
        return
    from client.metrics import Metrics  # noqa: PLC0415 - slow to import and rarely asked for
    from contract.pages import Pages  # noqa: PLC0415

    metrics = Metrics()
    witness.observers.append(metrics)
    every = "0.0.0.0"  # noqa: S104 - scrapes come from outside the container
    with Pages(every, port, {"/metrics": metrics.page}) as pages:
        log_.log(20, "metrics.served", port=pages.port)
        yield


def _say(line: str) -> None:
    sys.stderr.write(f"client: {line}\n")


if __name__ == "__main__":
    sys.exit(main())

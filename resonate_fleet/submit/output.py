"""What a submission leaves behind: ids and results on standard output, journal, log, progress."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TextIO

import msgspec

from resonate_fleet.contract.journal import Confirmed, ServerBack, ServerLost
from resonate_fleet.contract.options import tell
from resonate_fleet.contract.recorder import Journal, Log
from resonate_fleet.contract.shown import NAMED, clean
from resonate_fleet.contract.sink import lines_to
from resonate_fleet.contract.wire import Promise
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.submit import Confirmation, Observer


class Output:
    """Writes whole lines to standard output, each at once: a client may be killed at any time.

    `ids`: print the ids of confirmed jobs; without them a progress bar shows the count.
    """

    def __init__(self, group: str, *, json: bool, ids: bool = True) -> None:
        self.group = group
        self._json = json
        self._ids = ids
        #: Why lines could not be written (a full disk, say), "" if they could.
        self.lost = ""

    def confirmed(self, one: Confirmed) -> None:
        if self._json:
            self._object(
                action="confirmed",
                id=one.job,
                group=one.group,
                function=one.function,
                cost=one.cost,
                new=one.new,
            )
        elif self._ids:
            self._line(clean(one.job))

    def unconfirmed(self, ids: Iterable[str]) -> None:
        """Print ids that are not confirmed, as JSON only: plain output is for confirmed ones."""
        if self._json:
            for id_ in ids:
                self._object(action="unconfirmed", id=id_)

    def ended(self, id_: str, promise: Promise | None) -> None:
        """Print how a job ended; the value is its result, or the error that rejected it."""
        state, value = state_of(promise), _value(promise)
        if self._json:
            self._object(action="ended", id=id_, state=state, value=value)
        else:
            if state != "resolved" and isinstance(value, dict):
                value.pop("__py_pickle", None)  # the exception as bytes, for Python alone
            shown = "" if state in ("pending", "unknown") else msgspec.json.encode(value).decode()
            self._line(f"{clean(id_)} {state} {clean(shown)}".rstrip())

    def _object(self, **fields: Any) -> None:
        self._line(msgspec.json.encode(fields).decode())

    def _line(self, text: str) -> None:
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except OSError as error:  # the jobs are sent even so
            if not isinstance(error, BrokenPipeError):  # else nobody reads it any more
                self.lost = error.strerror or str(error)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def state_of(promise: Promise | None) -> str:
    return promise.state if promise is not None else "unknown"


def _value(promise: Promise | None) -> Any:
    try:
        return promise.value.decoded() if promise is not None else None
    except ValueError:
        return None


class Recorder(Observer):
    """Journals, prints and counts what a submission does. Its lines for people name `command`."""

    def __init__(self, out: Output, journal: Journal, command: str) -> None:
        self.out = out
        self._journal = journal
        self.command = command
        self._silent_since: float | None = None
        self.count = self.new = self.differing = 0
        self.advance: Callable[[int], None] = lambda _: None

    def say(self, line: str) -> None:
        tell(f"{self.command}: {line}")

    def clock_off(self, seconds: float) -> None:
        """Say how far the server's clock is ahead of this machine's."""
        where = "behind" if seconds > 0 else "ahead of"
        self.say(
            f"this machine's clock is {abs(seconds):g} s {where} the server's; "
            "deadlines are set by the server's"
        )

    def retried(self, _: Job, cause: str) -> None:
        if self._silent_since is None:  # one line an outage, not one a try
            self._silent_since = time.monotonic()
            self._journal.write(ServerLost(why=cause), level=30)

    def confirmed(self, confirmation: Confirmation) -> None:
        job = confirmation.job
        self.count += 1
        self.new += confirmation.new
        if self._silent_since is not None:
            gap, self._silent_since = time.monotonic() - self._silent_since, None
            self._journal.write(ServerBack(seconds=round(gap, 3)))
        line = Confirmed(
            job=job.id,
            group=job.group or self.out.group,
            function=job.call.func,
            cost=job.cost,
            new=confirmation.new,
        )
        self._journal.write(line)
        self.out.confirmed(line)
        self.advance(1)
        self.differing += confirmation.differs
        if confirmation.differs and self.differing <= NAMED:
            twice = "is given twice, and not the same; one of them counts"
            there = "was there already, with another call, group, priority or key; that one counts"
            self.say(f"{clean(job.id)} {twice if confirmation.own else there}")


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield what moves on a bar on standard error; nothing is drawn where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import console, progress  # noqa: PLC0415 - slow to import and rarely needed

    class Rate(progress.ProgressColumn):
        def render(self, task: progress.Task) -> str:
            return f"{task.speed or task.finished_speed or 0:.0f}/s"

    with progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        Rate(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        console=console.Console(stderr=True),
    ) as shown:
        yield partial(shown.advance, shown.add_task(what, total=total))


class JsonLog:
    """One JSON object a line as `contract.logs` has it, without structlog, which imports slowly."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._stream: TextIO = lines_to(sys.stderr, "log")

    def log(self, level: int, event: str, **fields: Any) -> None:
        name = {10: "debug", 20: "info", 30: "warning", 40: "error"}.get(level, str(level))
        line = {"at": round(time.time(), 6), "level": name, "action": event, "who": self._who}
        self._stream.write(msgspec.json.encode(line | fields).decode() + "\n")
        self._stream.flush()


class NoLog:
    def log(self, level: int, event: str, **fields: Any) -> None:
        """Write nothing: at a terminal the ids on standard output are enough."""


def log_of(format: str, who: str) -> Log:
    """Return the log that the setting asks for. It writes to standard error."""
    if format == "text":
        import structlog  # noqa: PLC0415 - a one-shot client need not wait

        from resonate_fleet.contract import logs  # noqa: PLC0415 - slow to import, rarely asked for

        logs.configure("text", "info", who)
        log: Log = structlog.get_logger()
        return log
    if format == "off" or (format == "auto" and sys.stderr.isatty()):
        return NoLog()
    return JsonLog(who)

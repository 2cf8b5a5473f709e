"""What a submission prints: ids as they are confirmed, results as they come."""

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TextIO

import msgspec

from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.wire import Promise
from resonate_fleet.submit.submit import Confirmation


class Output:
    """Writes whole lines to standard output, each at once: a client may be killed at any time.

    `ids`: print the ids of confirmed jobs; without them a progress bar shows the count.
    """

    def __init__(
        self, group: str, *, json: bool, ids: bool = True, out: TextIO | None = None
    ) -> None:
        self.group = group
        self._json = json
        self._ids = ids
        self._out = out if out is not None else sys.stdout
        #: Why lines could not be written (a full disk, say), "" if they could.
        self.lost = ""

    def confirmed(self, one: Confirmation) -> None:
        if not self._json:
            if self._ids:
                self._line(clean(one.job.id))
            return
        self._object(
            action="confirmed",
            id=one.job.id,
            group=one.job.group or self.group,
            function=one.job.call.func,
            cost=one.job.cost,
            new=one.new,
        )

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
            self._out.write(text + "\n")
            self._out.flush()
        except OSError as error:  # the jobs are sent all the same
            if not isinstance(error, BrokenPipeError):  # else nobody reads it any more
                self.lost = error.strerror or str(error)
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())


def state_of(promise: Promise | None) -> str:
    return promise.state if promise is not None else "unknown"


def _value(promise: Promise | None) -> Any:
    try:
        return promise.value.decoded() if promise is not None else None
    except ValueError:
        return None


def progress(what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Return a bar on standard error where that is a terminal, else one that draws nothing."""
    if not sys.stderr.isatty():
        return nullcontext(lambda _: None)
    from resonate_fleet.submit.bar import bar  # noqa: PLC0415 - rich is slow to import and rarely needed

    return bar(what, total)

"""Heartbeats: a thread with a connection of its own, which a blocked event loop cannot stop."""

import threading
import time
from collections.abc import Callable, Iterable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import groupby
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from contract.ids import origin_of
from contract.wire import Reply, envelope, parse
from worker.attempts import Attempt, Table
from worker.network import why_lost

#: Beats in the time of one lease.
BEATS = 3
#: Longest pause before a beat that failed is tried again, in seconds.
RETRY_PAUSE = 0.5


class Silent(Exception):  # noqa: N818 - a state of the world
    """The server did not answer."""


class Line:
    """A blocking connection to the server, for the threads beside the event loop."""

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        self._url = urlsplit(url)
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout = timeout
        self._connection: HTTPConnection | None = None

    def call(self, kind: str, data: dict[str, Any]) -> Reply:
        """Send one request and return its reply, whatever the status.

        Raises:
            Silent: there was no answer.
        """
        body = msgspec.json.encode(envelope(kind, data))
        try:
            # A kept connection may have been closed meanwhile: one more try on a new one.
            return self._try(body) if self._connection is None else self._try_twice(body)
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            raise Silent(str(error) or repr(error)) from None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try_twice(self, body: bytes) -> Reply:
        try:
            return self._try(body)
        except (ConnectionError, HTTPException):
            self.close()
            return self._try(body)

    def _try(self, body: bytes) -> Reply:
        if self._connection is None:
            secure = self._url.scheme == "https"
            kind = HTTPSConnection if secure else HTTPConnection
            port = self._url.port or (443 if secure else 80)
            self._connection = kind(self._url.hostname or "", port, timeout=self._timeout)
        self._connection.request("POST", f"{self._url.path}/", body, self._headers)
        return parse(self._connection.getresponse().read())


class Heart:
    """Beats for every lease in the table and finds out which ones are gone.

    The server answers a beat with 200 and nothing whatever it did (v0.9.8, `op_task_heartbeat`),
    so each beat is followed by a look at the tasks. Beats are sent per origin: the server's main
    branch refuses a request with several. `lost(attempt, why)` is called in the heart's thread.

    A lease that could not be renewed for its whole length counts as lapsed, by this machine's
    monotonic clock and from the last beat's sending, hence not later than on the server. The
    server is asked first even then, so that a process that was stopped for a while and goes on
    learns the truth.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it looks after, by what, for whom, and whom it tells
        self,
        table: Table,
        line: Line,
        member: str,
        lease: float,
        lost: Callable[[Attempt, str], None],
        failed: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._line = line
        self._member = member
        self._lease = lease
        self._lost = lost
        self._failed = failed
        self._now = now
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)
        #: When the thread last came round.
        self.turned = now()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join(1)

    @property
    def interval(self) -> float:
        return self._lease / BEATS

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def age(self) -> float:
        """Return the seconds since the oldest lease held was known to stand, 0 without any."""
        return max((self._now() - one.stood for one in self._table.held()), default=0.0)

    def beat(self) -> bool:
        """Beat once for all leases; False where the server did not answer for some of them."""
        answered = True
        held = sorted(self._table.held(), key=lambda one: origin_of(one.task))
        for _, group in groupby(held, key=lambda one: origin_of(one.task)):
            answered = self._beat_for(list(group)) and answered
        return answered

    def _beat_for(self, attempts: list[Attempt]) -> bool:
        sent = self._now()
        tasks = [{"id": one.task, "version": one.version} for one in attempts]
        try:
            self._line.call("task.heartbeat", {"pid": self._member, "tasks": tasks})
            for one in attempts:
                self._check(one, sent)
        except Silent:
            self._failed()
            self._lapse(attempts)
            return False
        return True

    def _check(self, attempt: Attempt, sent: float) -> None:
        reply = self._line.call("task.get", {"id": attempt.task})
        if reply.status not in (200, 404):
            raise Silent(f"{reply.status}")
        task = reply.data["task"] if reply.ok else None
        held = (
            task is not None
            and task["state"] == "acquired"
            and task["version"] == attempt.version
            and task.get("pid") == self._member
        )
        if held:
            attempt.stood = sent
        elif self._table.find(attempt.task, attempt.version) is attempt:
            self._lost(attempt, why_lost(task, attempt))

    def _lapse(self, attempts: Iterable[Attempt]) -> None:
        for one in attempts:
            if self._now() - one.stood >= self._lease:
                self._lost(one, "lapsed")

    def _run(self) -> None:
        pause = self.interval
        while not self._end.wait(pause):
            self.turned = self._now()
            pause = self.interval if self.beat() else min(self.interval, RETRY_PAUSE)
        self._line.close()

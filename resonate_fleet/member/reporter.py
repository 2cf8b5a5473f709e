"""Reports of a member to its stewards: one for all events of an iteration of the loop, or more."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from resonate_fleet.contract.presence import FromMember, Report, Withdraw
from resonate_fleet.member.attempts import Attempt, Table
from resonate_fleet.member.onloop import OnLoop

#: Events that free no slot wait so long for others, in seconds.
LAZY_SECONDS = 0.01


class Reporter:
    """Collects what happens and hands it to `send`.

    Everything but `ended` is to be called on the event loop.
    """

    def __init__(self, table: Table, on_loop: OnLoop, send: Callable[[FromMember], None]) -> None:
        self._table = table
        self._on_loop = on_loop
        self._send = send
        self._events: defaultdict[str, Any] = defaultdict(list)
        self._full: list[str] = []
        self._next: asyncio.Handle | None = None
        self._now = False

    def claimed(self, attempt: Attempt) -> None:
        self._add("claimed", (attempt.task, attempt.version, attempt.function), at_once=False)
        self._fill()

    def ended(self, attempt: Attempt, outcome: str) -> None:
        if not self._on_loop.here:
            self._on_loop.soon(partial(self.ended, attempt, outcome))
            return
        self._add("ended", (attempt.task, attempt.version, outcome), at_once=False)
        self._fill()

    def refused(self, task: str, version: int) -> None:
        self._add("refused", (task, version))

    def returned(self, task: str) -> None:
        self._add("returned", task)

    def declined(self, task: str, needs: str) -> None:
        self._add("declined", (task, needs))

    def freed(self) -> None:
        """A slot may have become free."""
        self._soon()

    def drain(self) -> None:
        """Withdraw all offers for good."""
        self._send(Withdraw(draining=True))

    def _fill(self) -> None:
        """Report the functions whose limit is reached here, if they have changed."""
        full = self._table.full()
        if full != self._full:
            self._full = self._events["full"] = full
            self._soon()

    def _add(self, kind: str, event: object, *, at_once: bool = True) -> None:
        self._events[kind].append(event)
        self._soon(at_once=at_once)

    def _soon(self, *, at_once: bool = True) -> None:
        if self._next is not None and (self._now or not at_once):
            return
        if self._next is not None:
            self._next.cancel()
        loop, self._now = self._on_loop.loop, at_once
        self._next = (
            loop.call_soon(self._report) if at_once else loop.call_later(LAZY_SECONDS, self._report)
        )

    def _report(self) -> None:
        self._next = None
        events, self._events = self._events, defaultdict(list)
        self._send(Report(**events))

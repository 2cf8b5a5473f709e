"""What stewards tell and ask of this member, and what they are told."""

import time
from collections.abc import Callable, Sequence

from resonate_fleet.contract.presence import Holding
from resonate_fleet.member.attempts import Attempt, Table
from resonate_fleet.member.intake import Intake
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.presence import Presence
from resonate_fleet.member.readiness import Readiness


class Stewards:
    """The listener of the presence. `on_loop` calls something on the event loop, from any thread.

    Everything is to be called on the event loop, but `lost` from any thread.
    """

    def __init__(
        self,
        intake: Intake,
        table: Table,
        ledger: Ledger,
        on_loop: Callable[[Callable[[], object]], None],
        readiness: Readiness,
    ) -> None:
        self._intake = intake
        self._table = table
        self._ledger = ledger
        self._on_loop = on_loop
        self._readiness = readiness

    def join(self, presence: Presence) -> None:
        """Tell stewards by `presence` what happens. To be called once, before anything else."""
        self._presence = presence
        self._ledger.on_claimed = self._claimed
        self._ledger.on_ended = self._ended

    # What they tell and ask.

    def assigned(self, tasks: Sequence[tuple[str, int]], *, offered: bool) -> None:
        self._intake.assigned(tasks, offered=offered)

    def withdrawn(self) -> None:
        self._intake.withdrawn()

    def alone(self, *, on: bool) -> None:
        self._intake.alone(on=on)
        if not on:
            self._readiness.reached()

    def offer(self) -> int:
        return self._intake.offer()

    def held(self) -> list[Holding]:
        now = time.time()
        return [
            Holding(one.task, one.version, one.function, now - one.seconds())
            for one in self._table.held()
        ]

    def released(self, tasks: Sequence[tuple[str, int]]) -> None:
        """Stop what a steward handed over while it took this member for dead."""
        for task, lost in tasks:
            attempt = self._table.find(task, lost)
            if attempt is not None:
                self.lost(attempt, "taken")

    def cancelled(self, tasks: Sequence[str]) -> None:
        """Stop the bodies of jobs that were cancelled."""
        for attempt in self._table.held():
            if attempt.task in tasks and self._table.lose(attempt):
                self._ledger.ended(attempt, "cancelled")
                attempt.body.stop()

    def lost(self, attempt: Attempt, why: str) -> None:
        """A lease is gone: stop its body."""
        if self._table.lose(attempt):
            self._ledger.lost(attempt, why)
            self._ledger.ended(attempt, "lost")
            self._on_loop(attempt.body.stop)

    # What they are told.

    def _claimed(self, attempt: Attempt) -> None:
        self._presence.claimed(attempt.task, attempt.version, attempt.function)
        self._presence.filled(self._table.full())

    def _ended(self, attempt: Attempt, outcome: str) -> None:
        self._on_loop(lambda: self._tell_end(attempt, outcome))

    def _tell_end(self, attempt: Attempt, outcome: str) -> None:
        self._presence.ended(attempt.task, attempt.version, outcome)
        self._presence.filled(self._table.full())

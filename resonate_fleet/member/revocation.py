"""Ends leases that others have ended: handed over, cancelled, or found to be lost."""

from collections.abc import Sequence

from resonate_fleet.member.attempts import Attempt, Table
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.process import OnLoop


class Revocation:
    """Takes such leases off the table and stops their bodies. Safe to use from any thread."""

    def __init__(self, table: Table, ledger: Ledger, on_loop: OnLoop) -> None:
        self._table = table
        self._ledger = ledger
        self._on_loop = on_loop

    def lost(self, attempt: Attempt, why: str) -> None:
        """End an attempt whose lease is lost."""
        if self._table.lose(attempt):
            self._ledger.lost(attempt, why)
            self._end(attempt, "lost")

    def released(self, tasks: Sequence[tuple[str, int]]) -> None:
        """End attempts that a steward has handed over, taking this member for dead."""
        for task, number in tasks:
            attempt = self._table.find(task, number)
            if attempt is not None:
                self.lost(attempt, "taken")

    def cancelled(self, tasks: Sequence[str]) -> None:
        """End attempts of jobs that were cancelled."""
        for attempt in self._table.held():
            if attempt.task in tasks and self._table.lose(attempt):
                self._end(attempt, "cancelled")

    def _end(self, attempt: Attempt, outcome: str) -> None:
        self._ledger.ended(attempt, outcome)
        self._on_loop.soon(attempt.body.stop)

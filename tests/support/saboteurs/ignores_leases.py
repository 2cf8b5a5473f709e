"""The member that claims job 1 first renews no lease from then on, nor looks whether it has any."""

from resonate_fleet.member.attempts import Attempt
from resonate_fleet.member.backup import Backup
from resonate_fleet.member.leases import Heart
from resonate_fleet.member.ledger import Ledger
from tests.support.saboteurs import first_claim_of
from worker.functions import register

__all__ = ["register"]

_beat, _claimed = Heart.beat, Ledger.claimed
_careless: list[str] = []


def _note(self: Ledger, attempt: Attempt, waited: float) -> None:
    if first_claim_of(attempt, 1):
        _careless.append(attempt.task)
    _claimed(self, attempt, waited)


def _pretend(self: Heart) -> bool:
    """Say that all is well."""
    return True if _careless else _beat(self)


def _no_process(self: Backup) -> None:
    """Start no process that would renew them instead."""


Backup.keep_running = _no_process  # type: ignore[method-assign]
Ledger.claimed = _note  # type: ignore[method-assign]
Heart.beat = _pretend  # type: ignore[method-assign]

"""The member that claims job 1 first renews no lease from then on, nor looks whether it has any."""

from resonate_fleet.member.attempts import Attempt
from resonate_fleet.member.heartbeat_process import HeartbeatProcess
from resonate_fleet.member.leases import Heartbeats
from resonate_fleet.member.ledger import Ledger
from tests.support.saboteurs import first_claim_of
from worker.functions import register

__all__ = ["register"]

_send, _claimed = Heartbeats.send, Ledger.claimed
_careless: list[str] = []


def _note(self: Ledger, attempt: Attempt, waited: float) -> None:
    if first_claim_of(attempt, 1):
        _careless.append(attempt.task)
    _claimed(self, attempt, waited)


def _pretend(self: Heartbeats) -> bool:
    """Say that all is well."""
    return True if _careless else _send(self)


def _no_process(self: HeartbeatProcess) -> None:
    """Start no process that would renew them instead."""


HeartbeatProcess.keep_running = _no_process  # type: ignore[method-assign]
Ledger.claimed = _note  # type: ignore[method-assign]
Heartbeats.send = _pretend  # type: ignore[method-assign]

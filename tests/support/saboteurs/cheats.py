"""Drops the result of job 1, hides its claim of job 2, and brings the result of job 4 twice."""

from typing import Any

from resonate_fleet.member.attempts import Attempt
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.requests import Request
from resonate_fleet.member.writes import Writes
from tests.support.saboteurs import first_claim_of
from worker.functions import register

__all__ = ["register"]

_send, _claimed, _ended = Writes.send, Ledger.claimed, Ledger.ended


async def _drop(self: Writes, request: Request, body: str) -> str:
    attempt = self.table.find(request.data.id, request.data.version)
    if request.kind != "task.fulfill" or not attempt or not first_claim_of(attempt, 1):
        return await _send(self, request, body)
    self._end(attempt, "resolved")
    promise: dict[str, Any] = {"promise": {"id": request.data.id, "state": "resolved"}}
    return request.reply(200, promise)


def _hide(self: Ledger, attempt: Attempt, waited: float) -> None:
    if not first_claim_of(attempt, 2):
        _claimed(self, attempt, waited)


def _end(self: Ledger, attempt: Attempt, outcome: str, error: str = "") -> None:
    if first_claim_of(attempt, 2):
        return
    _ended(self, attempt, outcome, error)
    if first_claim_of(attempt, 4):
        _ended(self, attempt, outcome, error)


Writes.send = _drop  # type: ignore[method-assign]
Ledger.claimed = _hide  # type: ignore[method-assign]
Ledger.ended = _end  # type: ignore[method-assign]

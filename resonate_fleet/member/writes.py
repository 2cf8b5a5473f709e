"""Writes under a lease. Nothing is sent under a lease that is known to be lost."""

import asyncio
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from resonate.error import ConnectorError

from resonate_fleet.contract.envelope import TOO_LARGE
from resonate_fleet.contract.loops import keep
from resonate_fleet.contract.wire import Promise, Reply, Task
from resonate_fleet.member.attempts import Attempt, Table
from resonate_fleet.member.failures import lasting
from resonate_fleet.member.intake import Intake
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.requests import (
    GO_ON,
    Answer,
    Request,
    is_done,
    rejection,
    why_lost,
    with_traceback,
)
from resonate_fleet.member.upstream import WRITE_RETRY_SECONDS, Channel

#: After so many attempts a job that no attempt can end is rejected with the reason.
ENOUGH = 3
#: Characters that are kept of an error if a proxy refuses the full one as too large.
SHORT = 200
#: Statuses below 500 for which the request itself may be right.
PASSING_REFUSALS = (401, 403, 404, 405, 408, 409, 425, 429)


@dataclass(eq=False)
class Writes:
    """Sends what settles, suspends, releases or checkpoints a job, and notes what it did.

    SDK 0.8.1 gives a job back whose function it does not know or whose call it cannot read. The
    server offers it again; the intake sees to it that this member does not claim it at once.
    """

    channel: Channel
    table: Table
    ledger: Ledger
    intake: Intake
    _releases: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def send(self, request: Request, body: str) -> str:
        """Send a write and return the reply; under a lost lease that is 409, made here.

        Raises:
            ConnectorError: the lease was lost before the server had answered.
        """
        if request.kind == "task.fulfill" and self.intake.ending(request.data.id):
            await asyncio.sleep(0)  # the next claim goes out first: nobody waits for this write
        attempt = self.table.find(request.data.id, request.data.version)
        if attempt is None:
            if request.kind == "task.fulfill":
                self.ledger.metrics.count("late_results_refused")
            return request.reply(409, "the lease is gone")
        if request.kind == "task.fence":  # a step: the attempt goes on
            return await self._send(request, body, attempt)
        if request.kind == "task.release":
            callee, failure = attempt.callee, attempt.failure
            # The SDK releases a job in its `except` clause, and says nowhere else why.
            if not failure.hopeless and (why := lasting(sys.exception())):
                failure.trouble, failure.hopeless = why, True
            self.intake.avoid(attempt.task, "" if callee.known else callee.label)
            hopeless = callee.known and failure.hopeless and attempt.version >= ENOUGH
            if hopeless and await self._reject(attempt, failure.trouble) is not None:
                return request.reply(200, {})
        with self.table.writing(attempt) as held:
            if not held:
                raise ConnectorError(RuntimeError("the lease is gone"))
            return await self._send(request, body, attempt)

    async def _send(self, request: Request, body: str, attempt: Attempt) -> str:
        if attempt.failure.traceback and request.data.action.data.get("state") == "rejected":
            body = with_traceback(body, attempt.failure.traceback)
        holds = partial(self.table.holds, attempt)
        answer = await self.channel.exchange(request, body, holds, WRITE_RETRY_SECONDS)
        if answer.reply.ok:
            self._wrote(request, attempt, answer.reply, len(body))
        elif answer.reply.status in (404, 409) and answer.final:
            return await self._refused(request, attempt, answer)
        else:
            return await self._never(request, attempt, answer, len(body))
        return answer.body

    async def _never(self, request: Request, attempt: Attempt, answer: Answer, size: int) -> str:
        """Note a write that the server will not take; reject the job if no attempt can help."""
        reply, failure = answer.reply, attempt.failure
        failure.trouble = f"{request.kind}: {reply.status} {reply.data}"
        if reply.status == TOO_LARGE:
            failure.trouble = _too_large(request, size, reply)
            rejected = await self._reject(attempt, failure.trouble)
            if rejected is not None:
                # The SDK accepts this reply; an error would make it keep the body.
                done = request.kind == "task.fulfill"
                return request.reply(*((200, rejected) if done else (409, failure.trouble)))
        elif reply.status >= 500:  # all the while the server took other requests, or it did not
            failure.hopeless = not self.channel.health.failing
        elif reply.status >= 400 and reply.status not in PASSING_REFUSALS:
            failure.hopeless = True
            self.ledger.unfit(attempt, failure.trouble)
        return answer.body

    async def _reject(self, attempt: Attempt, why: str) -> Any | None:
        """Reject a job in the SDK's place.

        Return the data of the reply, None if the server did not take it.
        """
        with self.table.writing(attempt) as held:
            for words, stack in ((why, attempt.failure.traceback), (why[:SHORT], "")):
                data = rejection(attempt.task, attempt.version, words, stack)
                answer = await self.channel.ask("task.fulfill", **data) if held else None
                if answer is None or answer.reply.status != TOO_LARGE:
                    break
            if answer is None or not answer.reply.ok:
                return None
            self._end(attempt, "rejected", why)
            return answer.reply.data

    def _wrote(self, request: Request, attempt: Attempt, reply: Reply, size: int = 0) -> None:
        action = request.data.action
        match request.kind:
            case "task.fulfill":
                self.ledger.metrics.written(attempt, size)
                failed = action.outcome == "rejected"
                error = (attempt.failure.error or action.error) if failed else ""
                self._end(attempt, action.outcome, error)
            case "task.suspend":
                if reply.status != GO_ON:
                    self._end(attempt, "suspended")
            case "task.release" if attempt.callee.known:
                self._end(attempt, "released", attempt.failure.trouble)
            case "task.release":
                why = f"{attempt.callee.label!r} is not registered here"
                self._end(attempt, "unknown-function", why)
            case _ if action.kind == "promise.settle":
                self.ledger.step_ended(attempt, str(action.data.get("id")))
            case _:
                attempt.durable_waits += _is_settled_wait(reply)

    def _end(self, attempt: Attempt, outcome: str, error: str = "") -> None:
        if self.table.finish(attempt):
            self.ledger.ended(attempt, outcome, error)

    async def _refused(self, request: Request, attempt: Attempt, answer: Answer) -> str:
        """Find out whether the lease is lost, or an earlier try of this request succeeded."""
        ended = request.kind == "task.fulfill"
        found: Task | None = await self.channel.find("task.get", attempt.task)
        if answer.repeated and found is not None and is_done(request, found):
            self._wrote(request, attempt, Reply(kind=request.kind, status=200, data={}))
            lost = await self.channel.ask("promise.get", attempt.task) if ended else None
            return request.reply(200, lost.reply.data if lost is not None else {})
        promise: Promise | None = await self.channel.find("promise.get", attempt.task)
        if not self.table.finish(attempt):  # no wait after it: a drain waits for what is held
            return answer.body
        if promise is not None and promise.state == "rejected_canceled":
            self.ledger.ended(attempt, "cancelled")
            return answer.body
        self.ledger.lost(attempt, why_lost(found, attempt))
        if ended:
            self.ledger.metrics.count("late_results_refused")
        self.ledger.ended(attempt, "refused")
        return answer.body

    def abandoned(self, attempt: Attempt, ended: "asyncio.Task[Any]") -> None:
        """Release a job whose SDK task has ended without a write.

        SDK 0.8.1 releases a job after its own errors only. When a body is cancelled, or raises a
        `BaseException` that is not the SDK's, its lease would be kept for ever.
        """
        why = "cancelled" if ended.cancelled() else repr(ended.exception())
        keep(self._releases, self._give_back(attempt, f"the body ended early: {why}"))

    async def _give_back(self, attempt: Attempt, why: str) -> None:
        self.intake.avoid(attempt.task, "")
        if attempt.version >= ENOUGH and await self._reject(attempt, why) is not None:
            return
        with self.table.writing(attempt) as held:
            if held:
                await self.channel.ask("task.release", attempt.task, version=attempt.version)
                self._end(attempt, "released", why)


def _too_large(request: Request, size: int, reply: Reply) -> str:
    action = request.data.action
    what = {
        "task.fulfill": "the result",
        "promise.settle": f"the result of the step {action.data.get('id')}",
        "promise.create": f"the call of the child {action.data.get('id')}",
    }
    found = what.get(action.kind if request.kind == "task.fence" else request.kind, request.kind)
    return f"{found} makes a request of {size / 1e6:.1f} MB, and {reply.data} is not taken (413)"


def _is_settled_wait(reply: Reply) -> bool:
    """Say whether a created promise is a durable wait that was over before, as in a replay."""
    try:
        promise = reply.data["action"]["data"]["promise"]
        return bool(
            promise["state"] != "pending" and promise["tags"].get("resonate:scope") == "global"
        )
    except (KeyError, TypeError):
        return False

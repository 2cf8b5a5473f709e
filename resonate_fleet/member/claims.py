"""Claims: the SDK's requests pass through here, and a granted claim becomes an attempt."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import structlog

from resonate_fleet.contract.calls import call_of
from resonate_fleet.contract.wire import Promise, Task
from resonate_fleet.contract.words import TAG_TIMER
from resonate_fleet.member import requests
from resonate_fleet.member.attempts import Attempt, Callee, Failure, Lease, Table, current
from resonate_fleet.member.intake import Intake
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.registry import Registry
from resonate_fleet.member.requests import Answer, Request
from resonate_fleet.member.upstream import Channel
from resonate_fleet.member.writes import Writes


@dataclass(eq=False)
class Claims:
    """`resonate_base.connections.Network` on the fleet's own wire.

    The SDK claims, runs and settles a job within one task of the event loop (`Core.on_message`).
    So that task ends when the attempt does, and the function sees a context variable that is set
    while the claim is sent.
    """

    channel: Channel
    table: Table
    ledger: Ledger
    registry: Registry
    writes: Writes
    intake: Intake
    #: Claims on their way.
    pending: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)

    async def start(self) -> None:
        """Do nothing: the wire connects with its first request."""

    async def stop(self) -> None:
        self.channel.close()

    def close(self) -> None:
        """From now on give back at once each claim that is granted."""
        self._closed = True

    async def send(self, req: str, headers: dict[str, str] | None = None) -> str:  # noqa: ARG002 - for networks that shard
        """Send one request of the SDK and return the reply, whatever its status.

        Raises:
            ConnectorError: the lease was lost, or the member ended, before there was an answer.
        """
        request = requests.read(req)
        if request.kind in requests.FENCED:
            return await self.writes.send(request, req)
        if request.kind != "task.acquire":
            return (await self.channel.exchange(request, req)).body
        self._follow(request)
        self.pending += 1
        sent = time.monotonic()
        try:
            answer = await self.channel.exchange(request, req)
            if answer.reply.status != 200:
                await self._refused(request, answer)
            elif not await self._granted(request, answer.part, sent):
                return request.reply(409, "given back")
        finally:
            self.pending -= 1
        return answer.body

    def _follow(self, request: Request) -> None:
        running = asyncio.current_task()
        assert running is not None  # noqa: S101 - a coroutine runs in a task
        task, version = request.data.id, request.data.version + 1
        # The SDK may have made this task in the context of the job that ended before it.
        current.set(None)
        structlog.contextvars.clear_contextvars()

        def over(ended: "asyncio.Task[Any]") -> None:
            attempt = self.table.find(task, version)
            if attempt is not None:
                self.writes.abandoned(attempt, ended)
            self.intake.done(task)

        running.add_done_callback(over)

    async def _granted(self, request: Request, promise: Promise, sent: float) -> bool:
        """Note a lease; False if it was given back at once and nothing may run."""
        task, version = request.data.id, request.data.version + 1
        if promise.tags.get(TAG_TIMER) == "true" and promise.state == "pending":
            # A durable sleep that is not due. The SDK drops it without releasing the lease.
            self.intake.avoid(task, "")
            await self.channel.ask("task.release", task, version=version)
            return True
        attempt = self._attempt(task, version, promise, sent)
        why = self.table.refuse(attempt)
        self.table.add(attempt)
        current.set(attempt)
        # The function's log lines name the job.
        structlog.contextvars.bind_contextvars(job=attempt.job, attempt=attempt.version)
        self.intake.granted(task)
        self.ledger.claimed(attempt, max(0.0, self.ledger.clock.now() - promise.created_at / 1000))
        if why:  # its function's limit is reached here
            self.intake.avoid(task, attempt.callee.label)
            if await self._release(attempt):
                self.ledger.ended(attempt, "released", why)
        elif self._closed and await self._release(attempt):
            self.ledger.handed_back(attempt)
        return not (why or self._closed)

    def _attempt(self, task: str, version: int, promise: Promise, sent: float) -> Attempt:
        """Return the attempt that a granted claim begins, in the SDK's task for it."""
        call, failure = call_of(promise), Failure()
        if call is None:
            why = "the job's call cannot be read: it is not what an SDK writes"
            callee, failure = Callee("", ""), Failure(trouble=why, hopeless=True)
        else:
            callee = self.registry.callee(call.func, call.version)
        attempt = Attempt(
            task, version, callee, promise.tags, lease=Lease(stood=sent), failure=failure
        )
        if (running := asyncio.current_task()) is not None:
            attempt.body.tasks.add(running)
        return attempt

    async def _release(self, attempt: Attempt) -> bool:
        answer = await self.channel.ask("task.release", attempt.task, version=attempt.version)
        return answer is not None and answer.reply.ok and self.table.finish(attempt)

    async def _refused(self, request: Request, answer: Answer) -> None:
        task, version = request.data.id, request.data.version + 1
        taken = answer.reply.status in (404, 409)
        self.ledger.refused(task, request.data.version, "refused" if taken else "failed")
        self.intake.refused(task)
        if not answer.repeated:
            return
        # An earlier try may have been granted and its answer lost. The SDK needs that answer, so
        # the lease is released: the next claim brings it.
        found: Task | None = await self.channel.find("task.get", task)
        if found and (found.pid, found.version) == (request.data.pid, version):
            await self.channel.ask("task.release", task, version=version)

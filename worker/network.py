"""The SDK's requests on their way to the server: retried, watched, and fenced by leases held."""

import asyncio
import random
import time
from typing import Any, Protocol

import msgspec
import structlog
from resonate.error import ConnectorError

from contract.ids import root_of
from contract.jobs import call_of
from contract.wire import Promise, Refused, Reply, Unreachable, Value, Wire, parse
from contract.words import TAG_TIMER
from worker.attempts import Attempt, Table, current
from worker.ledger import Ledger

#: Seconds between two tries of a request: first and longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: Seconds for which a request is repeated that the server answers with a failure of its own.
PATIENCE = 30.0
log = structlog.get_logger()


class Slots(Protocol):
    """The part of the intake that hears what became of the hints it gave away."""

    def granted(self, task: str) -> None: ...
    def refused(self, task: str) -> None: ...
    def done(self, task: str) -> None: ...
    def avoid(self, task: str) -> None: ...


class Functions(Protocol):
    """What the network asks of the registry."""

    def knows(self, name: str, version: int) -> bool: ...
    def can_suspend(self, name: str, version: int) -> bool: ...


class _Action(msgspec.Struct):
    kind: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class _Data(msgspec.Struct):
    id: str = ""
    version: int = -1
    action: _Action | None = None


class _Head(msgspec.Struct, rename="camel"):
    corr_id: str = ""


class _Request(msgspec.Struct):
    """The parts of a request that are looked at here."""

    kind: str
    head: _Head = msgspec.field(default_factory=_Head)
    data: _Data = msgspec.field(default_factory=_Data)


class _Grant(msgspec.Struct):
    """The parts of a granted claim that are looked at here."""

    promise: Promise


class _Answer(msgspec.Struct):
    """A reply, as sent, and whether an earlier try may have reached the server too."""

    reply: Reply
    body: str
    repeated: bool


_decoder = msgspec.json.Decoder(_Request)
#: Requests that only the holder of a lease may send.
_FENCED = ("task.fulfill", "task.suspend", "task.release", "task.fence")


class Network:
    """`resonate_base.connections.Network` over the fleet's own wire.

    The SDK's own connection keeps aiohttp's total timeout of five minutes, lets go of a request
    whose answer timed out (`TimeoutError` is not among what it retries), and waits up to a minute
    between tries. Here a request is tried until it is answered, at most a second apart, as long
    as its lease is held.
    """

    def __init__(
        self, wire: Wire, member: str, table: Table, ledger: Ledger, functions: Functions
    ) -> None:
        self._wire = wire
        self._member = member
        self._table = table
        self._ledger = ledger
        self._functions = functions
        self.slots: Slots | None = None
        self._stopped = False
        self._refusing = False
        #: Claims on their way.
        self.claiming = 0

    async def start(self) -> None:
        """Nothing to open: the wire connects with its first request."""

    async def stop(self) -> None:
        self._stopped = True

    def refuse_claims(self) -> None:
        """Give back whatever is still granted: the member is about to end."""
        self._refusing = True

    async def send(self, req: str, headers: dict[str, str] | None = None) -> str:  # noqa: ARG002 - for networks that shard
        """Send one request of the SDK and return the reply, whatever its status.

        Raises:
            ConnectorError: the member has stopped.
        """
        request = _decoder.decode(req)
        if request.kind == "task.acquire":
            return await self._acquire(request, req)
        if request.kind in _FENCED:
            return await self._fenced(request, req)
        return (await self._exchange(req)).body

    async def _exchange(self, req: str, lease: Attempt | None = None) -> "_Answer":
        """Try until there is an answer; a failure of the server's own is none for a while.

        Raises:
            ConnectorError: the member has stopped, or `lease` is gone.
        """
        pause, repeated, patience = FIRST_PAUSE, False, time.monotonic() + PATIENCE
        while not self._stopped:
            try:
                body = await self._wire.post(req)
                reply = parse(body)
                if reply.status < 500 or time.monotonic() > patience:
                    return _Answer(reply, body.decode(), repeated=repeated)
                why = f"{reply.kind}: {reply.status} {reply.data}"
            except Unreachable as error:
                why = error.cause
            except ValueError as error:  # a proxy's page, say
                why = str(error)
            log.debug("request.retried", why=why, pause=pause)
            repeated = True
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, LONGEST_PAUSE)
            if lease is not None and self._table.find(lease.task, lease.version) is None:
                break
        raise ConnectorError(RuntimeError("the member has stopped or lost the lease"))

    # Claims.

    async def _acquire(self, request: _Request, req: str) -> str:
        task = request.data.id
        running = asyncio.current_task()
        if running is not None:
            # This task of the SDK's lives until whatever the claim leads to is over.
            running.add_done_callback(lambda _: self.slots.done(task) if self.slots else None)
        self.claiming += 1
        try:
            answer = await self._exchange(req)
            if answer.reply.status == 200:
                await self._granted(task, request.data.version + 1, answer.reply, running)
            else:
                await self._not_granted(request, repeated=answer.repeated)
        finally:
            self.claiming -= 1
        return answer.body

    async def _granted(
        self, task: str, version: int, reply: Reply, running: "asyncio.Task[Any] | None"
    ) -> None:
        promise = msgspec.convert(reply.data, _Grant).promise
        call = call_of(promise)
        timer = promise.tags.get(TAG_TIMER) == "true" and promise.state == "pending"
        if timer or self._refusing:
            # A durable sleep that is not due: the SDK drops it and would keep its lease.
            await self._ask("task.release", task, version)
            return
        attempt = Attempt(
            job=root_of(task),
            task=task,
            version=version,
            function=call.func if call else "",
            known=call is not None and self._functions.knows(call.func, call.version),
            tags=promise.tags,
        )
        if running is not None:
            attempt.tasks.add(running)
        self._table.add(attempt)
        current.set(attempt)
        if self.slots:
            self.slots.granted(task)
        suspends = call is not None and self._functions.can_suspend(call.func, call.version)
        waited = max(0.0, time.time() - promise.created_at / 1000)
        self._ledger.claimed(attempt, waited, suspends=suspends)

    async def _not_granted(self, request: _Request, *, repeated: bool) -> None:
        task, version = request.data.id, request.data.version + 1
        self._ledger.refused(task, request.data.version)
        if self.slots:
            self.slots.refused(task)
        if not repeated:
            return
        # An earlier try may have been granted and its answer lost: then the lease is ours, but
        # what the SDK needs with it is not. Another claim brings it.
        found = await self._task(task)
        if found and found.get("pid") == self._member and found.get("version") == version:
            await self._ask("task.release", task, version)

    # Writes under a lease.

    async def _fenced(self, request: _Request, req: str) -> str:
        attempt = self._table.find(request.data.id, request.data.version)
        if attempt is None:
            if request.kind == "task.fulfill":
                self._ledger.late()
            return _refusal(request)
        if request.kind == "task.release":
            self._before_release(attempt)
        answer = await self._exchange(req, attempt)
        if answer.reply.ok:
            self._wrote(request, attempt, answer.reply)
        elif answer.reply.status in (404, 409):
            return await self._refused(request, attempt, answer)
        return answer.body

    def _wrote(self, request: _Request, attempt: Attempt, reply: Reply) -> None:
        action = request.data.action or _Action()
        match request.kind:
            case "task.fulfill":
                self._end(attempt, _outcome(action), _error_in(action))
            case "task.suspend" if reply.status != 300:  # 300: not needed, go on at once
                self._end(attempt, "suspended")
            case "task.release":
                self._given_up(attempt)
            case "task.fence" if action.kind == "promise.settle":
                self._ledger.step_ended(attempt, str(action.data.get("id")), 0.0)
            case _:
                pass

    def _before_release(self, attempt: Attempt) -> None:
        """The SDK gives up on this job here and now: do not take it again at once."""
        if self.slots:
            self.slots.avoid(attempt.task)

    def _given_up(self, attempt: Attempt) -> None:
        if attempt.known:
            self._end(attempt, "released")
        else:
            self._end(attempt, "unknown-function", f"{attempt.function!r} is not registered here")

    def _end(self, attempt: Attempt, outcome: str, error: str = "") -> None:
        if self._table.finish(attempt):
            self._ledger.ended(attempt, outcome, error)

    async def _refused(self, request: _Request, attempt: Attempt, answer: _Answer) -> str:
        """Find out whether the lease is gone, or an earlier try of this request did its work."""
        found = await self._task(attempt.task)
        if answer.repeated and found and found.get("version") == attempt.version:
            done = _done_before(request, found)
            if done is not None:
                return await self._succeed(request, attempt, done)
        if self._table.finish(attempt):
            self._ledger.lost(attempt, why_lost(found, attempt))
            if request.kind == "task.fulfill":
                self._ledger.late()
            self._ledger.ended(attempt, "refused")
        return answer.body

    async def _succeed(self, request: _Request, attempt: Attempt, outcome: str) -> str:
        action = request.data.action or _Action()
        data: dict[str, Any] = {}
        if request.kind == "task.fulfill":
            outcome = _outcome(action)
            promise = await self._ask("promise.get", attempt.task)
            data = promise.data if promise else {}
        self._end(attempt, outcome, _error_in(action))
        return _reply(request, 200, data)

    # Requests of our own.

    async def _task(self, id: str) -> dict[str, Any] | None:
        reply = await self._ask("task.get", id)
        return dict(reply.data["task"]) if reply and reply.ok else None

    async def _ask(self, kind: str, id: str, version: int | None = None) -> Reply | None:
        """Send a request of our own until it is answered; None when the member stops first."""
        data: dict[str, Any] = {"id": id} | ({} if version is None else {"version": version})
        pause = FIRST_PAUSE
        while not self._stopped:
            try:
                return await self._wire.call(kind, data, accept=(404, 409))
            except Unreachable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except Refused as refused:
                return refused.reply
        return None


def why_lost(task: dict[str, Any] | None, attempt: Attempt) -> str:
    """Say why the lease of `attempt` is gone, from what the server shows of its task now."""
    if task is None:
        return "gone"
    if task["version"] != attempt.version:
        return "taken"
    return {"pending": "lapsed", "halted": "halted"}.get(task["state"], "gone")


def _done_before(request: _Request, task: dict[str, Any]) -> str | None:
    """Return what an earlier try of this request has done to the task, if it has."""
    state = task["state"]
    if request.kind == "task.fulfill" and state == "fulfilled":
        return "resolved"
    if request.kind == "task.suspend" and state in ("suspended", "pending"):
        return "suspended"
    if request.kind == "task.release" and state == "pending":
        return "released"
    return None


def _outcome(action: _Action) -> str:
    return "resolved" if action.data.get("state") == "resolved" else "rejected"


def _error_in(action: _Action) -> str:
    """Return the message of the error that a rejection carries (`resonate.codec`)."""
    if action.data.get("state") in (None, "resolved"):
        return ""
    try:
        value = msgspec.convert(action.data.get("value", {}), Value).decoded()
    except (ValueError, msgspec.ValidationError):
        return ""
    return str(value.get("message", "")) if isinstance(value, dict) else str(value)


def _refusal(request: _Request) -> str:
    return _reply(request, 409, "the lease is gone")


def _reply(request: _Request, status: int, data: Any) -> str:
    head = {"corrId": request.head.corr_id, "status": status}
    return msgspec.json.encode({"kind": request.kind, "head": head, "data": data}).decode()

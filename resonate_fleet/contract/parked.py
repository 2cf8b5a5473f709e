"""What an operator does about parked jobs: list, show, redrive, reject.

Works on the server alone, with or without a steward. What happened to a job before it was parked
is known to the steward only (`CrashRecords`).
"""

from collections.abc import Iterable, Mapping

import msgspec

from resonate_fleet.contract.envelope import encode_value
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import call_of
from resonate_fleet.contract.journal import Redriven, Rejected
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.wire import Promise, Task, Wire
from resonate_fleet.contract.words import TAG_TARGET, group_of

#: What the SDK makes an exception of at whoever awaits the promise (SDK 0.8.1, `resonate.codec`).
ERROR_TYPE = "error"


class Crash(msgspec.Struct, frozen=True):
    """A claim that ended in a crash of its member. `at` in Unix seconds."""

    member: str
    attempt: int
    at: float
    #: False for the ones that another suspect was blamed for.
    blamed: bool


class CrashRecord(msgspec.Struct, frozen=True):
    """What happened to a task. `parked_at` (Unix seconds) is None unless it was parked."""

    task: str
    crashes: tuple[Crash, ...] = ()
    parked_at: float | None = None

    @property
    def count(self) -> int:
        """Crashes that count against it."""
        return sum(crash.blamed for crash in self.crashes)

    @property
    def members(self) -> list[str]:
        """The members that it was blamed for, in order."""
        return [crash.member for crash in self.crashes if crash.blamed]


class CrashRecords(msgspec.Struct):
    """The page `GET /quarantine` of a steward."""

    records: list[CrashRecord]


class ParkedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A task in quarantine. `created` in Unix seconds; `record` None where nobody kept one.

    `task` is the job's id, or that of a child of it which is a task of its own.
    """

    task: str
    job: str
    group: str | None
    function: str | None
    claims: int
    created: float
    record: CrashRecord | None = None


class NotParked(Mistake):
    """There is no such task, or it is not in quarantine. `state` is what it is in, if anything."""

    def __init__(self, task: str, state: str | None) -> None:
        super().__init__(f"{task} is {state}, not parked" if state else f"there is no task {task}")
        self.task = task
        self.state = state


async def parked(
    wire: Wire,
    records: Mapping[str, CrashRecord] | None = None,
    known: Iterable[str] | None = None,
) -> list[ParkedJob]:
    """Return every parked task, in id order; of `known`, those that still are.

    Without `known` the server searches its store.

    Raises:
        Unreachable, Refused: as the wire does.
    """
    if known is None:
        tasks = [task async for task in wire.all_tasks("halted")]
    else:
        found = [await wire.task(name) for name in sorted(set(known))]
        tasks = [task for task in found if task is not None and task.state == "halted"]
    return [await _describe(wire, task, records or {}) for task in tasks]


async def show(wire: Wire, id: str, records: Mapping[str, CrashRecord] | None = None) -> ParkedJob:
    """Return one parked task.

    Raises:
        NotParked, Unreachable, Refused.
    """
    return await _describe(wire, await _parked_task(wire, id), records or {})


async def redrive(wire: Wire, id: str, journal: Journal | None = None) -> None:
    """Give a parked task back to its group; its crashes are forgotten.

    Raises:
        NotParked, Unreachable, Refused.
    """
    task = await _parked_task(wire, id)
    reply = await wire.call("task.continue", {"id": id}, accept=(404, 409))
    if not reply.ok:
        raise NotParked(id, None if reply.status == 404 else task.state)
    if journal is not None:
        journal.write(Redriven(job=root_of(id)))


async def reject(wire: Wire, id: str, why: str, journal: Journal | None = None) -> Promise:
    """End a parked job as rejected with `why`, for whoever awaits it; return its promise.

    The server lets a promise be settled whatever its task's state, so only the look just before
    keeps a job that is not parked from being ended by mistake.

    Raises:
        NotParked, Unreachable, Refused.
    """
    await _parked_task(wire, id)
    value = encode_value({"__type": ERROR_TYPE, "message": why})
    reply = await wire.call("promise.settle", {"id": id, "state": "rejected", "value": value})
    if journal is not None:
        journal.write(Rejected(job=root_of(id), why=why))
    return msgspec.convert(reply.data["promise"], Promise)


async def _parked_task(wire: Wire, id: str) -> Task:
    task = await wire.task(id)
    if task is None or task.state != "halted":
        raise NotParked(id, task.state if task else None)
    return task


async def _describe(wire: Wire, task: Task, records: Mapping[str, CrashRecord]) -> ParkedJob:
    promise = await wire.promise(task.id)
    call = call_of(promise) if promise else None
    return ParkedJob(
        task=task.id,
        job=root_of(task.id),
        group=group_of(promise.tags.get(TAG_TARGET, "")) if promise else None,
        function=call.func if call else None,
        claims=task.version,
        created=promise.created_at / 1000 if promise else 0.0,
        record=records.get(task.id),
    )

"""An operator's acts on parked jobs: list, show, redrive, reject.

They work on the server alone, with or without a steward. Only the steward knows the crashes of a
job before it was parked (`CrashRecords`).
"""

from collections.abc import Iterable, Mapping

import msgspec

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import call_of
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.wire import Promise, Task, Wire
from resonate_fleet.contract.words import TAG_TARGET, group_of


class Crash(msgspec.Struct, frozen=True):
    """A claim that ended in a crash of its member. `at` in Unix seconds."""

    member: str
    attempt: int
    at: float
    #: False if another task of the member was blamed.
    blamed: bool


class CrashRecord(msgspec.Struct, frozen=True):
    """The crashes of a task. `parked_at` (Unix seconds) is None unless it was parked."""

    task: str
    crashes: tuple[Crash, ...] = ()
    parked_at: float | None = None

    @property
    def count(self) -> int:
        """Crashes that count against it."""
        return sum(crash.blamed for crash in self.crashes)

    @property
    def members(self) -> list[str]:
        """The members whose crashes it was blamed for, in order."""
        return [crash.member for crash in self.crashes if crash.blamed]


class CrashRecords(msgspec.Struct):
    """The page `GET /quarantine` of a steward."""

    records: list[CrashRecord]


class ParkedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A task in quarantine. `created` in Unix seconds; `record` is None without a steward's.

    `task` is the job's id, or that of a child which is a task of its own.
    """

    task: str
    job: str
    group: str | None
    function: str | None
    claims: int
    created: float
    record: CrashRecord | None = None


class NotParked(Mistake):
    """The task does not exist (`state` is None) or is in another state than parked."""

    def __init__(self, task: str, state: str | None) -> None:
        super().__init__(f"{task} is {state}, not parked" if state else f"there is no task {task}")


async def parked(
    wire: Wire,
    records: Mapping[str, CrashRecord] | None = None,
    known: Iterable[str] | None = None,
) -> list[ParkedJob]:
    """Return every parked task, in id order; with `known`, those of them that are still parked.

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


async def redrive(wire: Wire, id: str) -> None:
    """Give a parked task back to its group, with a clean record.

    Raises:
        NotParked, Unreachable, Refused.
    """
    task = await _parked_task(wire, id)
    reply = await wire.call("task.continue", {"id": id}, accept=(404, 409))
    if not reply.ok:
        raise NotParked(id, None if reply.status == 404 else task.state)


async def reject(wire: Wire, id: str, why: str) -> Promise:
    """End a parked job as rejected with `why`, for whoever awaits it; return its promise.

    The server settles a promise whatever its task's state. So the task is read just before, lest a
    job that is not parked be ended by mistake.

    Raises:
        NotParked, Unreachable, Refused.
    """
    await _parked_task(wire, id)
    return await wire.reject(id, why, "rejected")


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

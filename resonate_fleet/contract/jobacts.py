"""Acts on jobs: show, cancel, run again, redrive or reject a parked one, search the store.

They work on the server alone. A steward adds what it knows: attempts, members, reasons.
"""

from collections.abc import AsyncIterator, Callable

import msgspec

from resonate_fleet.contract.calls import call_of
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import (
    BARE,
    ChildLine,
    JobLine,
    JobPage,
    error_of,
    line_of,
    state_of,
)
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.wire import Promise, Task, Wire
from resonate_fleet.contract.words import OWN_TAGS, TAG_REPEATS, TAG_TARGET, TAG_TIMER, group_of

#: Most children that are read for one page, or cancelled with their job.
MOST_CHILDREN = 500
#: Most repeats of one job.
MOST_REPEATS = 1000


class NoSuchJob(Mistake):
    """The server has no job of this id."""


class OverAlready(Exception):  # noqa: N818 - a state of the world, in one line
    """The job has ended; `line` says how."""

    def __init__(self, line: JobLine) -> None:
        super().__init__(f"{line.id!r} is {line.state} already")
        self.line = line


class NoRerun(Mistake):
    """It is no job of its own, or it has not ended."""


class NotParked(Mistake):
    """The task does not exist (`state` is None) or is in another state than parked."""

    def __init__(self, task: str, state: str | None) -> None:
        super().__init__(f"{task} is {state}, not parked" if state else f"there is no task {task}")


async def _found(wire: Wire, id: str) -> Promise:
    promise = await wire.promise(id)
    if promise is None:
        raise NoSuchJob(f"there is no job {id!r}")
    return promise


# Look.


async def page(wire: Wire, id: str, *, payloads: bool = True) -> JobPage:
    """Return a job with its children, by the server alone: a few requests, and no search.

    Raises:
        NoSuchJob, Unreachable, Refused.
    """
    promise, task = await _found(wire, id), await wire.task(id)
    call = call_of(promise)
    line, error = line_of(promise, task), error_of(promise)
    return JobPage(
        id=id,
        state=line.state,
        at=wire.clock.now(),
        function=line.function,
        version=call.version if call else 1,
        group=line.group,
        created=line.created,
        ended=line.ended,
        timeout=promise.timeout_at / 1000,
        claims=line.attempt,
        tags=promise.tags,
        args=call.args if call and payloads else [],
        kwargs=call.kwargs if call and payloads else {},
        result=_result(promise) if payloads else None,
        error=error if payloads else _kind_of(error),
        children=await _children(wire, id, [MOST_CHILDREN]),
        repeats=promise.tags.get(TAG_REPEATS, ""),
        repeated=await repeats(wire, id),
        hidden=not payloads,
    )


def _kind_of(error: str) -> str:
    """Return the exception's name alone: its text may hold the job's arguments."""
    if error in BARE.values():
        return error
    name = error.rstrip().rpartition("\n")[2].partition(":")[0]
    return name if name.replace(".", "").isidentifier() else "an error" if error else ""


def _result(promise: Promise) -> object:
    try:
        return promise.value.decoded() if promise.state == "resolved" else None
    except ValueError:
        return "a result that is no JSON"


async def _children(wire: Wire, id: str, budget: list[int]) -> list[ChildLine]:
    """Return a job's children: `job:1`, `job:2`, and below them `job:1.1` (SDK 0.8.1, `ids`)."""
    found: list[ChildLine] = []
    async for child in _numbered(wire, id, budget):
        call = call_of(child)
        name = call.func if call else child.tags.get(TAG_TIMER) and "sleep"
        below = await _children(wire, child.id, budget)
        line = ChildLine(id=child.id, state=state_of(child), function=name or "", children=below)
        found.append(line)
    return found


async def _numbered(wire: Wire, id: str, budget: list[int]) -> AsyncIterator[Promise]:
    separator = "." if ":" in id else ":"
    number = 1
    while budget[0] > 0:
        child = await wire.promise(f"{id}{separator}{number}")
        if child is None:
            return
        budget[0] -= 1
        number += 1
        yield child


# Cancel.


async def cancel(wire: Wire, id: str, why: str, ended: list[str] | None = None) -> list[str]:
    """Cancel a job and those of its children that are not over; return all that were cancelled.

    `ended` gets them one by one, so that it has them even if the server fails later. This stops no
    running body: the member has to hear of it.

    Raises:
        NoSuchJob, OverAlready, Unreachable, Refused.
    """
    promise = await _found(wire, id)
    if promise.state == "pending":
        promise = await wire.reject(id, why, "rejected_canceled")
    # An earlier call for the same reason may have been cut off.
    if promise.state != "rejected_canceled" or error_of(promise) != why:
        raise OverAlready(line_of(promise))
    ended = [] if ended is None else ended
    ended.append(id)
    budget = [MOST_CHILDREN]
    waiting = [id]
    while waiting:
        async for child in _numbered(wire, waiting.pop(), budget):
            waiting.append(child.id)
            if child.state == "pending":
                await wire.reject(child.id, why, "rejected_canceled")
                ended.append(child.id)
    return ended


# Run again.


async def rerun(wire: Wire, id: str, *, once: bool = False) -> tuple[str, bool]:
    """Create a new job of the same call, tagged with what it repeats.

    Returns its id and True; with `once`, the id of the last repeat and False where there is one.

    Raises:
        NoSuchJob, NoRerun, Unreachable, Refused.
    """
    promise = await _found(wire, id)
    await _check_rerun(wire, promise)
    repeated = await repeats(wire, id)
    if once and repeated:
        return repeated[-1], False
    new = _repeat_id(id, len(repeated) + 1)
    own = {tag: new for tag in OWN_TAGS if tag in promise.tags}
    tags = {**promise.tags, **own, TAG_REPEATS: id}
    lasts = promise.timeout_at - promise.created_at
    data = {
        "id": new,
        "timeoutAt": wire.clock.now_ms() + lasts,
        "param": msgspec.to_builtins(promise.param),
        "tags": tags,
    }
    await wire.call("promise.create", data)
    return new, True


async def _check_rerun(wire: Wire, promise: Promise) -> None:
    job, root = promise.id, root_of(promise.id)
    if job != root:
        raise NoRerun(f"{job!r} is a part of {root!r}; accepted: a job of its own")
    if TAG_TARGET not in promise.tags:
        raise NoRerun(f"{job!r} is no job, but a promise that nobody runs; accepted: a job")
    if promise.state == "pending":
        state = state_of(promise, await wire.task(job))
        what = "`fleet quarantine redrive` gives it back" if state == "parked" else "it goes on"
        raise NoRerun(f"{job!r} is {state}: {what}; accepted: a job that is over")


def _repeat_id(id: str, number: int) -> str:
    return f"{id}-rerun-{number}"


async def repeats(wire: Wire, id: str) -> list[str]:
    found: list[str] = []
    while len(found) < MOST_REPEATS:
        new = _repeat_id(id, len(found) + 1)
        if await wire.promise(new) is None:
            break
        found.append(new)
    return found


# Parked jobs.


async def redrive(wire: Wire, id: str) -> None:
    """Give a parked task back to its group, with a clean record.

    Raises:
        NotParked, Unreachable, Refused.
    """
    task = await parked_task(wire, id)
    reply = await wire.call("task.continue", {"id": id}, accept=(404, 409))
    if not reply.ok:
        raise NotParked(id, None if reply.status == 404 else task.state)


async def reject(wire: Wire, id: str, why: str) -> Promise:
    """End a parked job as rejected with `why`, for whoever awaits it; return its promise.

    The server settles a promise whatever its task's state. So the task is read just before, to end
    no job that is not parked.

    Raises:
        NotParked, Unreachable, Refused.
    """
    await parked_task(wire, id)
    return await wire.reject(id, why, "rejected")


async def parked_task(wire: Wire, id: str) -> Task:
    """Return a parked task.

    Raises:
        NotParked, Unreachable, Refused.
    """
    task = await wire.task(id)
    if task is None or task.state != "halted":
        raise NotParked(id, task.state if task else None)
    return task


# Search the store.


async def search(
    wire: Wire, states: tuple[str | None, ...], progress: Callable[[int], None] = lambda _: None
) -> AsyncIterator[Promise]:
    """Yield jobs (no children) whose promise is in one of `states`, page by page, in id order.

    Each page walks through all that has ever finished. `progress` gets the number read so far.
    """
    read = 0
    for state in states:
        async for page in wire.promise_pages(state):
            read += len(page)
            progress(read)
            for promise in page:
                if ":" not in promise.id and group_of(promise.tags.get(TAG_TARGET, "")):
                    yield promise

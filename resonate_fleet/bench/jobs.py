"""Jobs of a bench run: submitted in order, awaited without disturbing, read afterwards."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.jobs import result_of
from resonate_fleet.contract.wire import Wire
from resonate_fleet.contract.words import COMPUTE_SOMETHING, TAG_TARGET, anycast

#: Seconds for which what a look has shown may serve: a turn is not sharper than that.
SERVES = 0.2
#: Jobs of a run must be done within this, in seconds.
PATIENCE = 300.0


class Unfinished(Exception):  # noqa: N818 - a finding
    """Jobs were not done in time."""


@dataclass(frozen=True)
class Done:
    """A finished job; Unix seconds. `created` and `settled` by the server's clock."""

    id: str
    created: float
    began: float
    settled: float
    attempt: int


async def submit(wire: Wire, group: str, costs: Sequence[float], at_once: int = 1) -> list[str]:
    """Create one job a cost, in order; `at_once` requests at a time. Return the ids in order."""
    ids = [new_id() for _ in costs]
    pairs = iter(zip(ids, costs, strict=True))
    await asyncio.gather(*(_submit_some(wire, group, pairs) for _ in range(at_once)))
    return ids


async def _submit_some(wire: Wire, group: str, pairs: "zip[tuple[str, float]]") -> None:
    for job, cost in pairs:
        await submit_one(wire, group, cost, job)


async def submit_one(wire: Wire, group: str, cost: float, id: str) -> None:
    call = {"func": COMPUTE_SOMETHING, "args": [id, cost], "kwargs": {}, "version": 1}
    tags = {TAG_TARGET: anycast(group), "resonate:origin": id}
    await wire.create_promise(id, int((time.time() + 3600) * 1000), call, tags)


async def all_done(wire: Wire, group: str, pause: float = 0.1) -> None:
    """Wait until no job of the group is pending.

    Raises:
        Unfinished: after `PATIENCE`.
    """
    end = time.monotonic() + PATIENCE
    while True:
        pending, _ = await wire.search_promises("pending", {TAG_TARGET: anycast(group)}, limit=1)
        if not pending:
            return
        if time.monotonic() > end:
            raise Unfinished(f"jobs of {group} are pending after {PATIENCE:g} s")
        await asyncio.sleep(pause)


async def read(wire: Wire, ids: Sequence[str]) -> list[Done]:
    """Return what became of the jobs, in order.

    Raises:
        Unfinished: a job has no result of ours.
    """
    done: list[Done] = []
    for some in itertools.batched(ids, 50):
        done += await asyncio.gather(*(_read_one(wire, job) for job in some))
    return done


async def _read_one(wire: Wire, id: str) -> Done:
    promise = await wire.promise(id)
    result = result_of(promise) if promise else None
    if promise is None or result is None or promise.settled_at is None:
        raise Unfinished(f"{id} has no result: {promise.state if promise else 'unknown'}")
    created, settled = promise.created_at / 1000, promise.settled_at / 1000
    return Done(id, created, result.began, settled, result.attempt)


def makespan(done: Sequence[Done]) -> float:
    """Return the seconds from the first creation to the last settlement."""
    return max(one.settled for one in done) - min(one.created for one in done)


def unfairness(done: Sequence[Done]) -> float:
    """Return the most that a job waited, in multiples of what it would have waited in its turn.

    In its turn the first job created begins with the first beginning that there was, and so on.
    """
    in_order = sorted(done, key=lambda one: (one.created, one.id))
    turns = sorted(one.began for one in done)
    return max(
        (one.began - one.created) / (max(0.0, turn - one.created) + SERVES)
        for one, turn in zip(in_order, turns, strict=True)
    )

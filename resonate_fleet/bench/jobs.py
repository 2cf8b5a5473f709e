"""Jobs of a bench run: submitted in order, awaited without disturbing, read afterwards."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.jobs import result_of
from resonate_fleet.contract.wire import Reply, Wire
from resonate_fleet.contract.words import COMPUTE_SOMETHING, TAG_TARGET, anycast

#: Seconds by which a job may be passed over: a turn is not sharper than that.
SERVES = 0.2
#: Jobs of a run must be done within this, in seconds.
RUN_SECONDS = 300.0


class Unfinished(Exception):  # noqa: N818 - a finding
    """Jobs were not done in time."""


class CountedWire(Wire):
    """A wire that counts the requests of the bench itself, by kind."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        super().__init__(url, timeout=timeout)
        self.sent: Counter[str] = Counter()

    async def call(self, kind: str, data: Mapping[str, Any], accept: tuple[int, ...] = ()) -> Reply:
        self.sent[kind] += 1
        return await super().call(kind, data, accept)


@dataclass(frozen=True)
class Done:
    """A finished job; Unix seconds. `created` and `settled` by the server's clock."""

    id: str
    created: float
    began: float
    settled: float
    attempt: int


async def submit(
    wire: Wire, group: str, costs: Sequence[float], at_once: int = 1, named: str = ""
) -> list[str]:
    """Create one job a cost, in order; `at_once` requests at a time. Return the ids in order.

    Ids are time-ordered, or `<named>-0`, `<named>-1` and so on.
    """
    ids = [f"{named}-{number}" if named else new_id() for number in range(len(costs))]
    await submit_all(wire, group, zip(ids, costs, strict=True), at_once)
    return ids


async def submit_all(
    wire: Wire, group: str, jobs: Iterable[tuple[str, float]], at_once: int = 1, **tags: str
) -> None:
    """Create jobs of these ids and costs, with `tags` as in `submit_one`."""
    rest = iter(jobs)

    async def some() -> None:
        for job, cost in rest:
            await submit_one(wire, group, cost, job, **tags)

    await asyncio.gather(*(some() for _ in range(at_once)))


async def submit_one(wire: Wire, group: str, cost: float, id: str, **tags: str) -> None:
    """Create a job; `tags` have no prefix: `key` is `fleet:key`."""
    given = {f"fleet:{name}": value for name, value in tags.items()}
    await submit_call(wire, group, id, COMPUTE_SOMETHING, id, cost, tags=given)


async def submit_call(
    wire: Wire, group: str, id: str, func: str, *args: Any, tags: Mapping[str, str] | None = None
) -> None:
    call = {"func": func, "args": args, "kwargs": {}, "version": 1}
    own = {TAG_TARGET: anycast(group)}
    own |= {f"resonate:{key}": id for key in ("origin", "branch", "parent")}
    await wire.create_promise(id, int((time.time() + 3600) * 1000), call, {**own, **(tags or {})})


async def submit_steadily(wire: Wire, group: str, costs: Sequence[float], rate: float) -> list[str]:
    """Create one job a cost, `rate` a second. Return the ids in order."""
    began, ids = time.monotonic(), []
    for number, cost in enumerate(costs):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        ids += await submit(wire, group, [cost])
    return ids


async def all_done(wire: Wire, ids: Sequence[str], pause: float = 0.1) -> None:
    """Wait until none of the jobs is pending, the last first: one request a pause until then.

    Raises:
        Unfinished: after `RUN_SECONDS`.
    """
    end = time.monotonic() + RUN_SECONDS
    for job in reversed(ids):
        while (promise := await wire.promise(job)) is None or promise.state == "pending":
            if time.monotonic() > end:
                raise Unfinished(f"{job} is pending after {RUN_SECONDS:g} s")
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


async def finish(wire: Wire, ids: Sequence[str], pause: float = 0.1) -> list[Done]:
    """Wait for the jobs and return what became of them."""
    await all_done(wire, ids, pause)
    return await read(wire, ids)


def makespan(done: Sequence[Done]) -> float:
    """Return the seconds from the first creation to the last settlement."""
    return max(one.settled for one in done) - min(one.created for one in done)


def waits(done: Sequence[Done]) -> list[float]:
    """Return for each job the milliseconds from its creation to its body's beginning."""
    return [1000 * (one.began - one.created) for one in done]


def turns_missed(jobs: Sequence[tuple[float, float]]) -> float:
    """Return the most that a job waited, in multiples of what it would have waited in its turn.

    `jobs` are (created, began), in order of creation. In its turn the first job created begins
    with the first beginning that there was, and so on.
    """
    turns = sorted(began for _, began in jobs)
    return max(
        (began - created) / (max(0.0, turn - created) + SERVES)
        for (created, began), turn in zip(jobs, turns, strict=True)
    )


def unfairness(done: Sequence[Done]) -> float:
    """Return `turns_missed` of finished jobs, given in the order in which they were submitted."""
    in_order = sorted(done, key=lambda one: one.created)
    return turns_missed([(one.created, one.began) for one in in_order])

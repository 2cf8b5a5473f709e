"""Jobs of a bench run: submitted in order, awaited without disturbing, read afterwards."""

import asyncio
import itertools
import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from resonate_fleet.contract.calls import result_of
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.wire import Refused, Reply, Wire
from resonate_fleet.contract.words import COMPUTE_SOMETHING, OWN_TAGS, TAG_KEY, TAG_TARGET, anycast
from resonate_fleet.report.bound import Window, greedy

#: Seconds that are added to each turn: jobs created closer together may be passed over.
SERVES = 0.2
#: Jobs of a run must be done within this, in seconds.
RUN_SECONDS = 300.0


# Seeded costs of jobs, in seconds, and the least time that they can take.


def uniform(seed: int, count: int, low: float = 0.1, high: float = 1.0) -> list[float]:
    random = Random(seed)
    return [round(random.uniform(low, high), 3) for _ in range(count)]


def heavy_tailed(seed: int, count: int) -> list[float]:
    """Return costs of a Pareto distribution from 0.1, cut at 3 seconds."""
    random = Random(seed)
    return [round(min(3.0, 0.1 * random.paretovariate(1.5)), 3) for _ in range(count)]


def greedy_bound(costs: Sequence[float], slots: int | Sequence[Window]) -> float:
    """Return the makespan of list scheduling in order, without any overhead, all jobs there at 0.

    `slots`: their number, where all last; or start and end of each, in seconds.

    Raises:
        ValueError: the slots end before the work does.
    """
    windows = [(0.0, math.inf)] * slots if isinstance(slots, int) else list(slots)
    ended = greedy([(0.0, cost) for cost in costs], windows)
    if ended is None:
        raise ValueError("the slots end before the work does")
    return ended


class CountedWire(Wire):
    """A wire that counts the requests of the bench itself, by kind."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout=60)
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
    wire: Wire,
    group: str,
    costs: Sequence[float],
    at_once: int = 1,
    ids: Sequence[str] = (),
    key: str = "",
) -> list[str]:
    """Create one job a cost, in order; `at_once` requests at a time. Return the ids in order.

    Ids are time-ordered where none are given; `key` is a policy's.
    """
    ids = list(ids) or [new_id() for _ in costs]
    rest = zip(ids, costs, strict=True)

    async def some() -> None:
        for job, cost in rest:
            await submit_call(wire, group, job, COMPUTE_SOMETHING, job, cost, key=key)

    await asyncio.gather(*(some() for _ in range(at_once)))
    return ids


async def submit_call(
    wire: Wire, group: str, id: str, func: str, *args: Any, key: str = ""
) -> None:
    call = {"func": func, "args": args, "kwargs": {}, "version": 1}
    tags = {TAG_TARGET: anycast(group)}
    tags |= dict.fromkeys(OWN_TAGS, id) | ({TAG_KEY: key} if key else {})
    await wire.create_promise(id, int((time.time() + 3600) * 1000), call, tags)


async def submit_steadily(
    wire: Wire, group: str, rate: float, cost: float, over: "asyncio.Future[Any]"
) -> dict[str, float]:
    """Create `rate` jobs a second until `over` is done; return by id when each was due (Unix s).

    Asks again where the server answers 500, as a client does.
    """
    due: dict[str, float] = {}
    began = time.time()
    while not over.done():
        at, job = began + len(due) / rate, new_id()
        await asyncio.sleep(max(0.0, at - time.time()))
        while job not in due:
            try:
                await submit(wire, group, [cost], ids=[job])
            except Refused as refused:
                if refused.reply.status < 500:
                    raise
                await asyncio.sleep(0.005)
            else:
                due[job] = at
    return due


async def all_done(wire: Wire, ids: Sequence[str], pause: float = 0.1) -> None:
    """Wait until none of the jobs is pending, the last first: one request a pause until then.

    Raises:
        CommandFailed: after `RUN_SECONDS`.
    """
    end = time.monotonic() + RUN_SECONDS
    for job in reversed(ids):
        while (promise := await wire.promise(job)) is None or promise.state == "pending":
            if time.monotonic() > end:
                raise CommandFailed(f"{job} is pending after {RUN_SECONDS:g} s")
            await asyncio.sleep(pause)


async def read(wire: Wire, ids: Sequence[str]) -> list[Done]:
    """Return what became of the jobs, in order.

    Raises:
        CommandFailed: a job has no result of ours.
    """
    done: list[Done] = []
    for some in itertools.batched(ids, 50):
        done += await asyncio.gather(*(_read_one(wire, job) for job in some))
    return done


async def _read_one(wire: Wire, id: str) -> Done:
    promise = await wire.promise(id)
    result = result_of(promise) if promise else None
    if promise is None or result is None or promise.settled_at is None:
        raise CommandFailed(f"{id} has no result: {promise.state if promise else 'unknown'}")
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


def unfairness(jobs: Iterable[tuple[float, float]]) -> float:
    """Return the most that a job waited, in multiples of what it would have waited in its turn.

    `jobs` are (created, began) in the order in which they were submitted. In its turn the first
    job created begins with the first beginning that there was, and so on.
    """
    in_order = sorted(jobs, key=lambda job: job[0])
    turns = sorted(began for _, began in in_order)
    return max(
        (began - created) / (max(0.0, turn - created) + SERVES)
        for (created, began), turn in zip(in_order, turns, strict=True)
    )

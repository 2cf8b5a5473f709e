"""How long a load takes: over the greedy bound, or a family of jobs over the plain SDK's time."""

import asyncio
import math
import signal
import time
from collections.abc import Callable, Sequence
from itertools import batched
from typing import NamedTuple

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import KINDS, BenchFigures, Kind
from resonate_fleet.bench.jobs import greedy_bound, heavy_tailed, uniform
from resonate_fleet.bench.place import Asked, BenchFleet, BenchPlace, Requests
from resonate_fleet.contract.ids import new_id

#: Members are started anew after so many seeds: a worker of SDK 0.8.1 alone is deaf after 300 s,
#: when aiohttp's time-out ends its stream.
FRESH = 5
#: Children of a parent.
FAMILIES = (300, 1000)


class Load(NamedTuple):
    """Jobs for members with one slot each, all submitted at once; costs by seed."""

    what: str
    members: int
    costs: Callable[[int], Sequence[float]]
    goals: str


EVEN = Load(
    "3 x 1 slot, 24 jobs of 0.1 to 1 s",
    3,
    lambda seed: uniform(seed, 24),
    "median <= 1.006, worst <= 1.012",
)
TAILED = Load(
    "10 x 1 slot, 200 Pareto jobs of 0.1 to 3 s",
    10,
    lambda seed: heavy_tailed(seed, 200),
    "median <= 1.009, worst <= 1.016",
)


class LoadRun(NamedTuple):
    """Makespan over the bound, the most that a job waited in multiples of its turn, requests."""

    ratio: float
    unfair: float
    requests: float
    refused: float


async def makespan(place: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Run the even and the heavy-tailed load, and the even one with members that come and go."""
    await _both(place, asked.times(20), found, KINDS)
    async with place.with_stewards():
        changes = [await _change(place, seed) for seed in range(asked.times(5))]
    what = "3 x 1 slot, one killed and one added half way, over the bound of the slots there were"
    found.add(what, changes, goals="median <= 1.05")


async def order(place: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Run both loads with ids as users choose them."""
    await _both(place, asked.times(20), found, ["ours"], users_ids=True)


async def _both(
    place: BenchPlace,
    seeds: int,
    found: BenchFigures,
    kinds: Sequence[Kind],
    *,
    users_ids: bool = False,
) -> None:
    turns = f"of first come, first served (+ {jobs.SERVES:g} s)"
    for load in (EVEN, TAILED):
        what = load.what + (", ids order-0, order-1, ..." if users_ids else "")
        for kind, runs in (await run(place, load, seeds, kinds, users_ids=users_ids)).items():
            ratio, unfair, requests, refused = zip(*runs, strict=True)
            found.add(f"makespan / bound, {what}", ratio, "", load.goals, kind)
            found.add(f"longest wait, {what}", unfair, turns, "worst <= 1", kind)
            if kind == "ours":  # the plain one's requests on this server are not its own alone
                found.add(f"requests a job, {what}", requests, goals="worst <= 3.05")
                found.add(f"refused claims, {what}", refused, "share", "worst <= 0.005")


async def run(
    place: BenchPlace, load: Load, seeds: int, kinds: Sequence[Kind], *, users_ids: bool = False
) -> dict[Kind, list[LoadRun]]:
    """Run the load on each kind of members in turn."""
    found: dict[Kind, list[LoadRun]] = {kind: [] for kind in kinds}
    for some in batched(range(seeds), FRESH):
        async with place.fleets(load.members, dict.fromkeys(kinds, 1)) as fleets:
            for seed in some:
                for kind, fleet in fleets.items():
                    costs = load.costs(seed)
                    ids = [f"{fleet.group}-{seed}-order-{n}" for n in range(len(costs))]
                    one = _run(place, fleet, costs, ids if users_ids else [])
                    found[kind].append(await one)
    return found


async def _run(
    place: BenchPlace, fleet: BenchFleet, costs: Sequence[float], ids: Sequence[str]
) -> LoadRun:
    least = greedy_bound(costs, len(fleet.members))
    requests = Requests(place)
    ids = await jobs.submit(place.wire, fleet.group, costs, ids=ids)
    await asyncio.sleep(0.9 * least)  # to ask meanwhile would cost the server time
    await jobs.all_done(place.wire, ids)
    total, refused = requests.total(), requests.refused_claims()
    done = await jobs.read(place.wire, ids)
    unfair = jobs.unfairness((one.created, one.began) for one in done)
    return LoadRun(jobs.makespan(done) / least, unfair, total / len(ids), refused)


async def _change(place: BenchPlace, seed: int) -> float:
    """Run the even load with a member killed and one added half way; return the ratio."""
    costs = EVEN.costs(seed)
    async with place.fleet("ours", EVEN.members, 1, stewards=0) as fleet:
        ids = await jobs.submit(place.wire, fleet.group, costs)
        await asyncio.sleep(greedy_bound(costs, EVEN.members) / 2)
        killed = time.time()
        fleet.members[0].send(signal.SIGKILL)
        added = await fleet.add()
        done = await jobs.finish(place.wire, ids)
        zero = min(one.created for one in done)
        whole = [(0.0, math.inf)] * (EVEN.members - 1)
        slots = [(0.0, killed - zero), *whole, (added.ready_at() - zero, math.inf)]
    return jobs.makespan(done) / greedy_bound(costs, slots)


async def fanout(place: BenchPlace, _: Asked, found: BenchFigures) -> None:
    """A parent with many no-op children on one slot: it waits for them, they wait for the slot."""
    took: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    for kind in KINDS:
        async with place.fleet(kind, 1, 1) as fleet:
            for size in FAMILIES:
                job, began = new_id(), time.monotonic()
                await jobs.submit_call(place.wire, fleet.group, job, "parent", size)
                await jobs.all_done(place.wire, [job], 0.02)
                took[kind].append(time.monotonic() - began)
                task = await place.wire.task(job)
                claims, what = task.version if task else 0, f"{size} children, 1 member x 1 slot"
                found.add(what, took[kind][-1], "s", worker=kind)
                found.add(f"{what}: claims of the parent", claims, worker=kind)
    ours, plain = took.values()
    ratios = [mine / theirs for mine, theirs in zip(ours, plain, strict=True)]
    found.add("ours / plain, by size", ratios, goals="worst <= 1.2")
    growth = (ours[1] / FAMILIES[1]) / (ours[0] / FAMILIES[0])
    found.add("seconds a child, the larger family's over the smaller one's", growth)

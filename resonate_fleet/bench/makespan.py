"""Makespan over the greedy bound: how well the members' slots were used, in which order."""

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import batched

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, Goals, at_most, figure
from resonate_fleet.bench.loads import greedy_bound, heavy_tailed, uniform
from resonate_fleet.bench.place import Asked, BenchPlace, Requests
from resonate_fleet.bench.processes import Kind

#: Members are started anew after so many seeds: a worker of SDK 0.8.1 alone is deaf after 300 s,
#: when aiohttp's time-out ends its stream.
FRESH = 5


@dataclass(frozen=True)
class Load:
    """Jobs for members with one slot each, all submitted at once; costs by seed."""

    what: str
    members: int
    costs: Callable[[int], Sequence[float]]
    goals: Goals


EVEN = Load(
    "3 x 1 slot, 24 jobs of 0.1 to 1 s",
    3,
    lambda seed: uniform(seed, 24),
    at_most(median=1.006, worst=1.012),
)
TAILED = Load(
    "10 x 1 slot, 200 Pareto jobs of 0.1 to 3 s",
    10,
    lambda seed: heavy_tailed(seed, 200),
    at_most(median=1.009, worst=1.016),
)


@dataclass(frozen=True)
class LoadRun:
    """Makespan over the bound, the most that a job waited in multiples of its turn, requests."""

    ratio: float
    unfair: float
    requests: float
    refused: float


async def makespan(place: BenchPlace, asked: Asked) -> list[Figure]:
    """The even load and the heavy-tailed one; the even one with members that come and go."""
    figures = await _both(place, asked.times(20), asked.kinds)
    with place.with_stewards():
        changes = [await _change(place, seed) for seed in range(asked.times(5))]
    what = "3 x 1 slot, one killed and one added half way, over the bound of the slots there were"
    return [*figures, figure("makespan / bound", what, changes, goals=at_most(median=1.05))]


async def order(place: BenchPlace, asked: Asked) -> list[Figure]:
    """Both loads with ids that users choose."""
    return await _both(place, asked.times(20), ["ours"], users_ids=True)


async def _both(
    place: BenchPlace, seeds: int, kinds: Sequence[Kind], *, users_ids: bool = False
) -> list[Figure]:
    figures = []
    for load in (EVEN, TAILED):
        found = await runs(place, load, seeds, kinds, users_ids=users_ids)
        what = load.what + (", ids order-0, order-1, ..." if users_ids else "")
        for kind, some in found.items():
            figures += _figures(what, load.goals, kind, some)
    return figures


async def runs(
    place: BenchPlace, load: Load, seeds: int, kinds: Sequence[Kind], *, users_ids: bool = False
) -> dict[Kind, list[LoadRun]]:
    """Run the load on each kind of members in turn."""
    found: dict[Kind, list[LoadRun]] = {kind: [] for kind in kinds}
    with place.with_stewards():
        for some in batched(range(seeds), FRESH):
            with ExitStack() as stack:
                fleets = {
                    kind: stack.enter_context(place.fleet(kind, load.members, 1, stewards=0))
                    for kind in kinds
                }
                for seed in some:
                    for kind, fleet in fleets.items():
                        named = f"{fleet.group}-{seed}-order" if users_ids else ""
                        found[kind].append(await _run(place, load, seed, fleet.group, named))
    return found


async def _run(place: BenchPlace, load: Load, seed: int, group: str, named: str) -> LoadRun:
    costs = load.costs(seed)
    least = greedy_bound(costs, load.members)
    requests = Requests(place)
    ids = await jobs.submit(place.wire, group, costs, named=named)
    await asyncio.sleep(0.9 * least)  # to ask meanwhile would cost the server time
    await jobs.all_done(place.wire, ids)
    total, refused = requests.total(), requests.refused_claims()
    done = await jobs.read(place.wire, ids)
    return LoadRun(jobs.makespan(done) / least, jobs.unfairness(done), total / len(ids), refused)


def _figures(what: str, goals: Goals, kind: Kind, found: list[LoadRun]) -> list[Figure]:
    ratios, unfair = [run.ratio for run in found], [run.unfair for run in found]
    turns = f"of first come, first served (+ {jobs.SERVES:g} s)"
    figures = [
        figure("makespan / bound", what, ratios, "", goals, kind),
        figure("longest wait", what, unfair, turns, at_most(worst=1.0), kind),
    ]
    if kind == "plain":  # whose requests on this server are not its own alone
        return figures
    requests, refused = [run.requests for run in found], [run.refused for run in found]
    return [
        *figures,
        figure("requests a job", what, requests, goals=at_most(worst=3.05)),
        figure("refused claims", what, refused, "share", at_most(worst=0.005)),
    ]


async def _change(place: BenchPlace, seed: int) -> float:
    """The even load with a member killed and one added half way; the steward hands over."""
    costs = EVEN.costs(seed)
    with place.fleet("ours", EVEN.members, 1, stewards=0) as fleet:
        ids = await jobs.submit(place.wire, fleet.group, costs)
        await asyncio.sleep(greedy_bound(costs, EVEN.members) / 2)
        killed = fleet.members[0].process.strike()
        added = await asyncio.to_thread(fleet.add)
        done = await jobs.finish(place.wire, ids)
        zero = min(one.created for one in done)
        whole = [(0.0, math.inf)] * (EVEN.members - 1)
        slots = [(0.0, killed - zero), *whole, (added.ready_at() - zero, math.inf)]
    return jobs.makespan(done) / greedy_bound(costs, slots)

"""A million finished jobs in the store: the same measures with and without them, in turn."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable

from resonate_fleet.bench import makespan, recovery, throughput
from resonate_fleet.bench.figures import BenchFigures
from resonate_fleet.bench.latency import starts
from resonate_fleet.bench.place import NEW_FILE, Asked, BenchPlace, open_place
from resonate_fleet.bench.processes import Spent
from resonate_fleet.contract.words import TAG_TARGET, anycast
from resonate_fleet.report.figures import percentile

IDLE_SECONDS = 30.0
#: Rounds and starts of each store in 20 seeds: their p99 is then not the worst of them.
ROUNDS, STARTS = 4, 200

#: What is found at one place, by what it is and its unit.
type Found = defaultdict[tuple[str, str], list[float]]
START, MAKESPAN, KILL, RATE = (
    ("idle to start", "ms"),
    ("makespan / bound, 3 x 1", ""),
    ("SIGKILL to the next claim", "s"),
    ("no-ops", "a second"),
)
#: Ratios to the empty store's: of what, at which percentile, and how far it may be off.
RATIOS = (
    (START, 0.5, "worst <= 1.1"),
    (START, 0.99, "worst <= 1.1"),
    (MAKESPAN, 0.5, "worst <= 1.1"),
    (KILL, 0.5, "worst <= 1.1"),
    (RATE, 0.5, "least >= 0.9"),
)


async def history(full: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Measure the place with a history and an empty one, a bit of each in turn."""
    async with open_place(asked.server_bin, asked.empty or NEW_FILE) as empty:
        mine: Found = defaultdict(list)
        others: Found = defaultdict(list)
        sides = [(full, mine), (empty, others)]
        for _ in range(asked.times(ROUNDS)):
            for place, values in sides:
                await _one_round(place, values)
            sides.reverse()  # neither is always the first
        idle, base = await _idle_server(full), await _idle_server(empty)
    for what, unit in mine:
        found.add(f"{what}, with history", mine[what, unit], unit)
        found.add(f"{what}, empty store", others[what, unit], unit)
    for one, share, goals in RATIOS:
        ratio = percentile(mine[one], share) / percentile(others[one], share)
        found.add(f"{one[0]}, p{100 * share:g}, ratio", ratio, goals=goals)
    what = "server's time that an idle fleet takes"
    found.add(f"{what}, with history", idle, "of a core", "worst <= 0.01")
    found.add(f"{what}, empty store", base, "of a core")


async def _one_round(place: BenchPlace, found: Found) -> None:
    found[START] += await starts(place, "ours", STARTS // ROUNDS)
    runs = await makespan.run(place, makespan.EVEN, 3, ["ours"])
    found[MAKESPAN] += [run.ratio for run in runs["ours"]]
    found[KILL] += await recovery.kills(place, 5)
    async with place.fleets(2, {"ours": throughput.SLOTS}) as fleets:
        found[RATE] += (await throughput.steady(place, fleets, 2))["ours"]


async def _idle_server(place: BenchPlace) -> float:
    """Return the share of a core that the server takes for an idle fleet, less what it takes alone.

    The server's own loops take some; they are measured first.
    """
    alone = Spent(place.server)
    await asyncio.sleep(IDLE_SECONDS / 2)
    share = alone.share()
    async with place.fleet("ours", 3, 4, stewards=2):
        await asyncio.sleep(10)  # the first surveys
        idle = Spent(place.server)
        await asyncio.sleep(IDLE_SECONDS)
        return max(0.0, idle.share() - share)


async def searches(place: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Milliseconds of each search, one after the other; the first warm the server's cache."""
    wire, tags = place.wire, {TAG_TARGET: anycast(place.named("searched"))}
    ask: dict[str, Callable[[], Awaitable[object]]] = {
        "task.search of waiting ones": lambda: anext(wire.task_pages("pending")),
        "task.search of held ones": lambda: anext(wire.task_pages("acquired")),
        "promise.search of a group's waiting ones": lambda: anext(
            wire.promise_pages("pending", tags)
        ),
        "promise.get": lambda: wire.promise("nobody"),
    }
    for what, search in ask.items():
        times = []
        for _ in range(3 + asked.times(40)):
            began = time.perf_counter()
            await search()
            times.append(1000 * (time.perf_counter() - began))
        found.add(what, times[3:], "ms", worker="")

"""A million finished jobs in the store: the same measures with and without them, in turn."""

import asyncio
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from resonate_fleet.bench import makespan, recovery, throughput
from resonate_fleet.bench.figures import Figure, at_least, at_most, figure, percentile
from resonate_fleet.bench.latency import starts
from resonate_fleet.bench.place import Asked, BenchPlace, open_place
from resonate_fleet.bench.processes import Spent

#: How far a store with history may be off an empty one.
WITHIN = at_most(worst=1.1)
IDLE_SECONDS = 30.0
#: Starts of each store: their p99 is then not the worst of them.
STARTS = 200

START, MAKESPAN, KILL, RATE = (
    ("idle to start", "ms"),
    ("makespan / bound, 3 x 1", ""),
    ("SIGKILL to the next claim", "s"),
    ("no-ops", "a second"),
)
IDLE = "server's time that an idle fleet takes"
#: What was measured at one place, by what it is.
type Found = defaultdict[tuple[str, str], list[float]]


async def history(full: BenchPlace, asked: Asked) -> list[Figure]:
    """Measure the place with a history and an empty one, a bit of each in turn."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        store = asked.empty or str(folder / "store.db")
        empty = open_place(stack, folder, None, asked.server_bin, store)
        async with empty.wire:
            mine: Found = defaultdict(list)
            others: Found = defaultdict(list)
            rounds, sides = max(2, asked.times(4)), [(full, mine), (empty, others)]
            for _ in range(rounds):
                for place, found in sides:
                    await _one_round(place, found, STARTS // rounds)
                sides.reverse()  # neither is always the first
            idle, base = await _idle_server(full), await _idle_server(empty)
    return [
        *(one for what in (START, MAKESPAN, KILL, RATE) for one in _both(what, mine, others)),
        *_ratios(mine, others),
        figure("history", f"{IDLE}, with history", [idle], "of a core", at_most(worst=0.01)),
        figure("history", f"{IDLE}, empty store", [base], "of a core"),
    ]


async def _one_round(place: BenchPlace, found: Found, count: int) -> None:
    found[START] += await starts(place, "ours", count)
    runs = await makespan.runs(place, makespan.EVEN, 3, ["ours"])
    found[MAKESPAN] += [run.ratio for run in runs["ours"]]
    found[KILL] += await recovery.kills(place, 5)
    steady = await throughput.steady(place, 2, ["ours"])
    found[RATE] += steady[0].values


async def _idle_server(place: BenchPlace) -> float:
    """Return the share of a core that the server takes for an idle fleet, less what it takes alone.

    The server's own loops take some; they are measured first.
    """
    if place.server is None:
        return 0.0
    alone = Spent([place.server])
    await asyncio.sleep(IDLE_SECONDS / 2)
    share = alone.share()
    with place.fleet("ours", 3, 4, stewards=2):
        await asyncio.sleep(10)  # the first surveys
        idle = Spent([place.server])
        await asyncio.sleep(IDLE_SECONDS)
        return max(0.0, idle.share() - share)


def _both(named: tuple[str, str], mine: Found, others: Found) -> list[Figure]:
    what, unit = named
    return [
        figure("history", f"{what}, with history", mine[named], unit),
        figure("history", f"{what}, empty store", others[named], unit),
    ]


def _ratios(mine: Found, others: Found) -> list[Figure]:
    def ratio(named: tuple[str, str], share: float) -> list[float]:
        return [percentile(mine[named], share) / percentile(others[named], share)]

    return [
        figure("history", "idle to start, p50, ratio", ratio(START, 0.5), goals=WITHIN),
        figure("history", "idle to start, p99, ratio", ratio(START, 0.99), goals=WITHIN),
        figure("history", f"{MAKESPAN[0]}, ratio", ratio(MAKESPAN, 0.5), goals=WITHIN),
        figure("history", f"{KILL[0]}, ratio", ratio(KILL, 0.5), goals=WITHIN),
        figure("history", f"{RATE[0]}, ratio", ratio(RATE, 0.5), goals=at_least(least=0.9)),
    ]

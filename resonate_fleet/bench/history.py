"""A million finished jobs in the store: the same measures with and without them, in turn."""

import asyncio
from dataclasses import dataclass, field

from resonate_fleet.bench import latency, makespan, recovery, throughput
from resonate_fleet.bench.figures import Figure, Goal, at_least, at_most, percentile
from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.place import Place, Spent

#: How far a store with history may be off an empty one.
WITHIN = at_most(worst=1.1)
IDLE_SECONDS = 30.0


@dataclass
class _Found:
    starts: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    idle: float = 0.0


async def beside_empty(full: Place, empty: Place, seeds: int) -> list[Figure]:
    """Measure both places, a bit of each in turn."""
    found = {"full": _Found(), "empty": _Found()}
    async with full.wire() as wire, empty.wire() as other:
        places = {"full": (full, wire), "empty": (empty, other)}
        for _ in range(max(1, seeds // 5)):
            for name, (place, at) in places.items():
                await _one_round(place, at, found[name])
        for name, (place, _) in places.items():
            found[name].idle = await _idle_server(place)
    return _figures(found["full"], found["empty"])


async def _one_round(place: Place, wire: CountedWire, found: _Found) -> None:
    found.starts += await latency.starts(place, wire, "ours", 50)
    runs = await makespan.runs(place, wire, makespan.EVEN, 3, ["ours"])
    found.ratios += [run.ratio for run in runs["ours"]]
    found.kills += await recovery.kills(place, wire, 5)
    steady = await throughput.steady(place, wire, 2, ["ours"])
    found.rates += steady[0].values


async def _idle_server(place: Place) -> float:
    """Return the share of a core that the server takes for an idle fleet, less what it takes alone.

    The server's own loops take some; they are measured first.
    """
    if place.server is None:
        return 0.0
    shares = []
    alone = Spent([place.server])
    await asyncio.sleep(IDLE_SECONDS / 2)
    shares.append(alone.share())
    with place.with_stewards(2), place.members("ours", place.new_group("idle"), 3, 4):
        await asyncio.sleep(10)  # the first surveys
        idle = Spent([place.server])
        await asyncio.sleep(IDLE_SECONDS)
        shares.append(idle.share())
    return max(0.0, shares[1] - shares[0])


def _figures(full: _Found, empty: _Found) -> list[Figure]:
    def figure(what: str, unit: str, values: list[float], *goals: Goal) -> Figure:
        return Figure(measure="history", what=what, unit=unit, values=values, goals=goals)

    def both(what: str, unit: str, mine: list[float], others: list[float]) -> list[Figure]:
        return [
            figure(f"{what}, with history", unit, mine),
            figure(f"{what}, empty store", unit, others),
        ]

    def median(values: list[float]) -> float:
        return percentile(values, 0.5)

    tail = percentile(full.starts, 0.99) / percentile(empty.starts, 0.99)
    return [
        *both("idle to start", "ms", full.starts, empty.starts),
        figure("its p50, ratio", "", [median(full.starts) / median(empty.starts)], *WITHIN),
        figure("its p99, ratio", "", [tail], *WITHIN),
        *both("makespan / bound, 3 x 1", "", full.ratios, empty.ratios),
        figure("its median, ratio", "", [median(full.ratios) / median(empty.ratios)], *WITHIN),
        *both("SIGKILL to the next claim", "s", full.kills, empty.kills),
        figure("its median, ratio", "", [median(full.kills) / median(empty.kills)], *WITHIN),
        *both("no-ops", "a second", full.rates, empty.rates),
        figure("their median, ratio", "", [median(full.rates) / median(empty.rates)],
               *at_least(least=0.9)),
        figure("server's time that an idle fleet takes, with history", "of a core", [full.idle],
               *at_most(worst=0.01)),
        figure("server's time that an idle fleet takes, empty store", "of a core", [empty.idle]),
    ]  # fmt: skip

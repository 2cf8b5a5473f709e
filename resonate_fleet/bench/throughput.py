"""How many no-op jobs a second, and what 100,000 that wait cost others."""

import asyncio
import statistics
import time
from collections.abc import Iterable
from statistics import harmonic_mean

from resonate.resonate import Resonate

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import KINDS, BenchFigures, Kind
from resonate_fleet.bench.latency import one_start, submit_times
from resonate_fleet.bench.place import Asked, BenchFleet, BenchPlace, Requests
from resonate_fleet.bench.processes import Process, Spent
from resonate_fleet.contract.words import COMPUTE_SOMETHING

#: Requests of a client that are on their way at once.
AT_ONCE = 32
SLOTS = 16
#: Slots of a member; the plain SDK's are what it takes on at once by default.
OF_KIND: dict[Kind, int] = {"ours": SLOTS, "plain": 64}
#: Jobs of a run.
COUNT = 1000
#: Runs of a seed. Both kinds take turns: a machine's speed may double within a minute.
TURNS = 4


async def throughput(place: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """2 members; jobs that do nothing, submitted as fast as it goes; in turn with the plain SDK."""
    seeds = min(asked.times(20), 5)
    async with place.fleets(2, OF_KIND) as fleets:
        rates = await steady(place, fleets, seeds)
        for kind in KINDS:
            found.add("no-op jobs, 2 members", rates[kind], "a second", worker=kind)
        ratios = [ours / plain for ours, plain in zip(*rates.values(), strict=True)]
        found.add("ours / plain, same run", ratios, goals="least >= 1.4")
        for fleet in fleets.values():
            await _costs(place, fleet, found)


async def steady(
    place: BenchPlace, fleets: dict[Kind, BenchFleet], seeds: int
) -> dict[Kind, list[float]]:
    """Return the jobs a second of each kind, seed by seed, after one run to warm up."""
    rates: dict[Kind, list[float]] = {kind: [] for kind in fleets}
    for _ in range(1 + seeds * TURNS):
        for kind, fleet in fleets.items():
            rates[kind].append(await _RATE[kind](place, fleet.group, COUNT))
    return {
        kind: [harmonic_mean(some[at : at + TURNS]) for at in range(1, len(some), TURNS)]
        for kind, some in rates.items()
    }


async def _costs(place: BenchPlace, fleet: BenchFleet, found: BenchFigures) -> None:
    """Find what a job costs in one more run."""
    parts: dict[str, Iterable[Process]] = {"members": fleet.members, "server": [place.server]}
    if fleet.kind == "ours":
        parts["steward"] = place.stewards
    spent = {name: Spent(*some) for name, some in parts.items()}
    requests, client = Requests(place), time.process_time()
    await _RATE[fleet.kind](place, fleet.group, COUNT)
    used = {name: one.seconds() for name, one in spent.items()}
    used["client"] = time.process_time() - client
    for name, seconds in used.items():
        what = f"processor time of the {name}, a job"
        found.add(what, 1000 * seconds / COUNT, "ms", worker=fleet.kind)
    if fleet.kind == "ours":
        found.add("requests a job", requests.total() / COUNT, goals="worst <= 3.05")
        found.add("refused claims", requests.refused_claims(), "share", "worst <= 0.005")


async def ours(place: BenchPlace, group: str, count: int) -> float:
    """Return the rate of no-op jobs that are submitted as fast as it goes."""
    ids = await jobs.submit(place.wire, group, [0.0] * count, AT_ONCE)
    some = [ids[0], *ids[-200:]]
    return count / jobs.makespan(await jobs.finish(place.wire, some, 0.05))


async def _plain(place: BenchPlace, group: str, count: int) -> float:
    """The client of the published examples: a handle a job, whose result is awaited."""
    client = Resonate(url=place.url, group=f"{group}-client")
    run, many = place.named("run"), asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with many:
            job = f"{run}-{number:06d}"
            handle = client.options(target=group).rpc(job, COMPUTE_SOMETHING, job, 0.0)
            await handle.result()

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(count)))
    took = time.monotonic() - began
    await client.stop()
    return count / took


_RATE = {"ours": ours, "plain": _plain}


async def waiting(place: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Submit many no-op jobs that nobody is free for yet; then serve them."""
    count, wire = asked.jobs or 100_000, place.wire
    # The member of the flooded group is busy: the steward hears the group's hints.
    async with (
        place.fleet("ours", 1, 4) as other,
        place.fleet("ours", 1, 1, stewards=0) as flooded,
    ):
        group, (steward,) = flooded.group, place.stewards
        await jobs.submit(wire, group, [120.0])
        empty = await submit_times(place, group, 100)
        ids = await jobs.submit(wire, group, [0.0] * count, AT_ONCE)
        full = await submit_times(place, group, 100)
        starts = [await one_start(place, other.group) for _ in range(100)]
        memory = steward.memory_bytes()
        flooded.members.pop().end()
        requests = Requests(place)
        async with place.fleet("ours", 3, SLOTS, stewards=0, group=group):
            await jobs.all_done(wire, ids, 0.5)
            refused = requests.refused_claims()
            ends = await jobs.read(wire, [*ids[:100], *ids[-500:]])
            took = max(one.settled for one in ends) - min(one.began for one in ends)
            steady_rate = await ours(place, group, 5000)
        memory = max(memory, steward.memory_bytes())
    submits = [one / statistics.median(empty) for one in full]
    what = f"{count} wait: "
    found.add(f"{what}submit, one call / the same of an empty store", submits, "", "p50 <= 1.5")
    found.add(f"{what}start in another group", starts, "ms", "p50 <= 15")
    found.add(f"{what}drain / steady rate", count / took / steady_rate, "", "least >= 0.9")
    found.add(f"{what}drain", count / took, "jobs a second")
    found.add(f"{what}refused claims", refused, "share", "worst <= 0.005")
    found.add(f"{what}steward's memory", memory / 1e6, "MB", "worst <= 200")

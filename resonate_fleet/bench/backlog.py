"""100,000 waiting jobs: what they cost those who submit, another group, and the steward."""

import statistics
from collections.abc import Sequence

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, at_least, at_most, figure
from resonate_fleet.bench.latency import one_start, submit_times
from resonate_fleet.bench.place import Asked, BenchPlace, Requests
from resonate_fleet.bench.processes import StewardProcess
from resonate_fleet.bench.throughput import AT_ONCE, SLOTS, ours


async def waiting(place: BenchPlace, asked: Asked) -> list[Figure]:
    """Submit many no-op jobs that nobody is free for yet; then serve them."""
    count, wire = asked.jobs or 100_000, place.wire
    # The member of the flooded group is busy: the steward hears the group's hints.
    with (
        place.fleet("ours", 1, 4) as other,
        place.fleet("ours", 1, 1, stewards=0) as flooded,
    ):
        group = flooded.group
        await jobs.submit(wire, group, [120.0])
        empty = await submit_times(place, group, 100)
        ids = await jobs.submit(wire, group, [0.0] * count, AT_ONCE)
        full = await submit_times(place, group, 100)
        starts = [await one_start(place, other.group) for _ in range(100)]
        memory = _memory(place.stewards)
        flooded.members.pop().process.end()
        requests = Requests(place)
        with place.fleet("ours", 3, SLOTS, stewards=0, group=group):
            await jobs.all_done(wire, ids, 0.5)
            refused = requests.refused_claims()
            ends = await jobs.read(wire, [*ids[:100], *ids[-500:]])
            took = max(one.settled for one in ends) - min(one.began for one in ends)
            steady = await ours(place, group, 5000)
        memory = max(memory, _memory(place.stewards))
    measure, base = f"{count} waiting", statistics.median(empty)
    submits = [one / base for one in full]
    return [
        figure(measure, "submit, one call / the same of an empty store", submits,
               goals=at_most(p50=1.5)),
        figure(measure, "start in another group", starts, "ms", at_most(p50=15)),
        figure(measure, "drain / steady rate", [count / took / steady], goals=at_least(least=0.9)),
        figure(measure, "drain", [count / took], "jobs a second"),
        figure(measure, "refused claims", [refused], "share", at_most(worst=0.005)),
        figure(measure, "steward's memory", [memory], "MB", at_most(worst=200)),
    ]  # fmt: skip


def _memory(stewards: Sequence[StewardProcess]) -> float:
    return max(one.process.memory_bytes() for one in stewards) / 1e6

"""100,000 waiting jobs: what they cost those who submit, another group, and the steward."""

from collections.abc import Sequence

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, Goal, at_least, at_most
from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.latency import one_start, submit_times
from resonate_fleet.bench.place import Place, Requests, Steward
from resonate_fleet.bench.throughput import AT_ONCE, SLOTS, ours


async def waiting(place: Place, wire: CountedWire, count: int) -> list[Figure]:
    """Submit `count` no-op jobs that nobody serves yet; then serve them."""
    flooded, other = place.new_group("flooded"), place.new_group("other")
    empty = await submit_times(wire, flooded, 100)
    with place.with_stewards() as stewards, place.members("ours", other, 1, 4):
        # A member of the flooded group that is busy: the steward hears the group's hints.
        with place.members("ours", flooded, 1, 1):
            await jobs.submit(wire, flooded, [120.0])
            ids = await jobs.submit(wire, flooded, [0.0] * count, AT_ONCE)
            full = await submit_times(wire, flooded, 100)
            starts = [await one_start(wire, other) for _ in range(100)]
        memory = _memory(stewards)
        requests = Requests(place, wire)
        with place.members("ours", flooded, 3, SLOTS):
            await jobs.all_done(wire, ids, 0.5)
            refused = requests.refused_claims()
            ends = await jobs.read(wire, [*ids[:100], *ids[-500:]])
            took = max(one.settled for one in ends) - min(one.began for one in ends)
            steady = await ours(wire, flooded, 5000)
        memory = max(memory, _memory(stewards))

    def figure(what: str, unit: str, values: list[float], *goals: Goal) -> Figure:
        return Figure(measure=f"{count} waiting", what=what, unit=unit, values=values, goals=goals)

    base = Figure(measure="", what="", values=empty).median
    return [
        figure("submit, one call / the same of an empty store",
               "", [one / base for one in full], *at_most(p50=1.5)),
        figure("start in another group", "ms", starts, *at_most(p50=15)),
        figure("drain / steady rate", "", [count / took / steady], *at_least(least=0.9)),
        figure("drain", "jobs a second", [count / took]),
        figure("refused claims", "share", [refused], *at_most(worst=0.005)),
        figure("steward's memory", "MB", [memory], *at_most(worst=200)),
    ]  # fmt: skip


def _memory(stewards: Sequence[Steward]) -> float:
    return max(one.process.memory_bytes() for one in stewards) / 1e6

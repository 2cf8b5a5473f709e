"""A parent with many children on one slot: it waits for them, they wait for the slot."""

import time

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, at_most, figure
from resonate_fleet.bench.place import Asked, BenchPlace
from resonate_fleet.bench.processes import Kind
from resonate_fleet.contract.ids import new_id

SIZES = (300, 1000)


async def fanout(place: BenchPlace, asked: Asked) -> list[Figure]:
    """Seconds until a parent with so many no-op children is done, and its claims."""
    figures, took = [], dict[tuple[Kind, int], float]()
    for kind in asked.kinds:
        with place.fleet(kind, 1, 1) as fleet:
            for size in SIZES:
                seconds, claims = await _family(place, fleet.group, size)
                took[kind, size] = seconds
                what = f"{size} children, 1 member x 1 slot"
                figures += [
                    figure("fan-out", what, [seconds], "s", worker=kind),
                    figure("fan-out", f"{what}: claims of the parent", [claims], worker=kind),
                ]
    less, more = SIZES
    if asked.only is None:
        ratios = [took["ours", size] / took["plain", size] for size in SIZES]
        figures.append(figure("fan-out", "ours / plain, by size", ratios, goals=at_most(worst=1.2)))
    if asked.only != "plain":
        growth = took["ours", more] / took["ours", less] / (more / less)
        what = "seconds a child, the larger family's over the smaller one's"
        figures.append(figure("fan-out", what, [growth]))
    return figures


async def _family(place: BenchPlace, group: str, size: int) -> tuple[float, float]:
    job, began = new_id(), time.monotonic()
    await jobs.submit_call(place.wire, group, job, "parent", size)
    await jobs.all_done(place.wire, [job], 0.02)
    task = await place.wire.task(job)
    return time.monotonic() - began, float(task.version if task else 0)

"""A parent with many children on one slot: it waits for them, they wait for the slot."""

import time
from collections.abc import Sequence
from itertools import pairwise

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, at_most
from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.place import Kind, Place
from resonate_fleet.contract.ids import new_id


async def families(
    place: Place, wire: CountedWire, sizes: Sequence[int], kinds: Sequence[Kind]
) -> list[Figure]:
    """Seconds until a parent with so many no-op children is done, and its claims."""
    figures, took = [], dict[tuple[Kind, int], float]()
    for kind in kinds:
        group = place.new_group("fanout")
        with place.with_stewards(), place.members(kind, group, 1, 1):
            for size in sizes:
                seconds, claims = await _family(wire, group, size)
                took[kind, size] = seconds
                what = f"{size} children, 1 member x 1 slot"
                figures += [
                    Figure(measure="fan-out", what=what, worker=kind, unit="s", values=[seconds]),
                    Figure(measure="fan-out", what=f"{what}: claims of the parent", worker=kind,
                           values=[claims]),
                ]  # fmt: skip
    ratios = [took["ours", size] / took["plain", size] for size in sizes if len(kinds) > 1]
    if ratios:
        figures.append(Figure(measure="fan-out", what="ours / plain, by size", values=ratios,
                              goals=at_most(worst=1.2)))  # fmt: skip
    growth = [
        took["ours", more] / took["ours", less] / (more / less)
        for less, more in pairwise(sizes)
        if "ours" in kinds
    ]
    what = "seconds a child, the larger family's over the smaller one's"
    figures += [Figure(measure="fan-out", what=what, values=growth)] if growth else []
    return figures


async def _family(wire: CountedWire, group: str, size: int) -> tuple[float, float]:
    job, began = new_id(), time.monotonic()
    await jobs.submit_call(wire, group, job, "parent", size)
    await jobs.all_done(wire, [job], 0.02)
    task = await wire.task(job)
    return time.monotonic() - began, float(task.version if task else 0)

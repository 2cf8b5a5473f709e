"""What the server's searches cost, by what has finished in its store."""

import time
from collections.abc import Awaitable, Callable

from resonate_fleet.bench.figures import Figure
from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.place import Place
from resonate_fleet.contract.words import TAG_TARGET, anycast


async def searches(place: Place, wire: CountedWire, count: int) -> list[Figure]:
    """Milliseconds of each search, one after the other; the first warm the server's cache."""
    group = place.new_group("searched")
    tags = {TAG_TARGET: anycast(group)}
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "task.search of waiting ones": lambda: wire.search_tasks("pending"),
        "task.search of held ones": lambda: wire.search_tasks("acquired"),
        "promise.search of a group's waiting ones": lambda: wire.search_promises("pending", tags),
        "promise.get": lambda: wire.promise("nobody"),
    }
    figures = []
    for what, ask in asked.items():
        times = []
        for _ in range(3 + count):
            began = time.perf_counter()
            await ask()
            times.append(1000 * (time.perf_counter() - began))
        figures.append(
            Figure(measure="searches", what=what, worker="", unit="ms", values=times[3:])
        )
    return figures

"""What the server's searches cost, by what has finished in its store."""

import time
from collections.abc import Awaitable, Callable

from resonate_fleet.bench.figures import Figure, figure
from resonate_fleet.bench.place import Asked, BenchPlace
from resonate_fleet.contract.words import TAG_TARGET, anycast


async def searches(place: BenchPlace, asked: Asked) -> list[Figure]:
    """Milliseconds of each search, one after the other; the first warm the server's cache."""
    wire, tags = place.wire, {TAG_TARGET: anycast(place.new_group("searched"))}
    ask: dict[str, Callable[[], Awaitable[object]]] = {
        "task.search of waiting ones": lambda: wire.search_tasks("pending"),
        "task.search of held ones": lambda: wire.search_tasks("acquired"),
        "promise.search of a group's waiting ones": lambda: wire.search_promises("pending", tags),
        "promise.get": lambda: wire.promise("nobody"),
    }
    figures = []
    for what, search in ask.items():
        times = []
        for _ in range(3 + asked.times(40)):
            began = time.perf_counter()
            await search()
            times.append(1000 * (time.perf_counter() - began))
        figures.append(figure("searches", what, times[3:], "ms", worker=""))
    return figures

"""What open pages of the console cost the steward, and whether jobs start later for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp

from resonate_fleet.bench.figures import Figure, at_most, figure, percentile
from resonate_fleet.bench.latency import single_starts
from resonate_fleet.bench.place import Asked, BenchPlace
from resonate_fleet.bench.processes import Spent
from resonate_fleet.chaos.ports import HOST

#: Pages that are open, and single jobs of one turn with or without them.
PAGES, JOBS = 10, 25


async def console(place: BenchPlace, asked: Asked) -> list[Figure]:
    """Single jobs for an idle fleet, in turns with ten pages open and with none."""
    starts: dict[bool, list[float]] = {True: [], False: []}
    shares: dict[bool, list[float]] = {True: [], False: []}
    with place.fleet("ours", 3, 4) as fleet:
        steward = fleet.stewards[0]
        await single_starts(place, fleet.group, JOBS)
        for turn in range(2 * asked.times(8)):
            opened = turn % 2 == 0
            async with _pages(steward.port, PAGES if opened else 0):
                spent = Spent([steward.process])
                starts[opened] += await single_starts(place, fleet.group, JOBS)
                shares[opened].append(spent.share())
    more = [100 * (with_ - without) for with_, without in zip(*shares.values(), strict=True)]
    later = percentile(starts[True], 0.5) - percentile(starts[False], 0.5)
    return [
        figure("console", "idle to start, no page open", starts[False], "ms"),
        figure("console", f"idle to start, {PAGES} pages open", starts[True], "ms"),
        figure("console", "p50 later by", [later], "ms", at_most(worst=1)),
        figure("console", f"steward's processor time for {PAGES} pages", more, "% of a core",
               at_most(median=5)),
    ]  # fmt: skip


@asynccontextmanager
async def _pages(port: int, count: int) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:
        open_ = [asyncio.create_task(_read(http, port)) for _ in range(count)]
        try:
            yield
        finally:
            for page in open_:
                page.cancel()
            await asyncio.gather(*open_, return_exceptions=True)


async def _read(http: aiohttp.ClientSession, port: int) -> None:
    with suppress(aiohttp.ClientError):
        async with http.get(f"http://{HOST}:{port}/events") as stream:
            async for _ in stream.content.iter_any():
                pass

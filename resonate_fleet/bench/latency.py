"""How soon a job starts, and how soon it is submitted; the first also while pages are open."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import KINDS, BenchFigures, Kind
from resonate_fleet.bench.place import COMPILED, Asked, BenchPlace
from resonate_fleet.bench.processes import Spent
from resonate_fleet.chaos.child import room_command
from resonate_fleet.chaos.ports import HOST
from resonate_fleet.contract.loops import cancel
from resonate_fleet.report.figures import percentile

#: Members with one slot, and jobs that are sent to them at once.
BURST = 5
#: Pages of the console that are open, and single jobs of one turn with or without them.
PAGES, JOBS = 10, 25


async def latency(place: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Single jobs, bursts and submissions, on idle fleets and beside busy members."""
    count, goals = max(50, 10 * asked.times(10)), "p50 <= 7, p99 <= 15"
    last = f"{BURST} jobs at once for {BURST} idle slots: the last begins after"
    for kind in KINDS:
        idle, busy = await starts(place, kind, count), await _beside_busy(place, kind, count)
        found.add("idle to start", idle, "ms", goals, kind)
        found.add("idle to start beside a busy member", busy, "ms", goals, kind)
        found.add(last, await _bursts(place, kind, count // 5), "ms", "median <= 15", kind)
    group = place.named("submission")  # nobody serves it
    calls = await submit_times(place, group, 2 * count)
    whole = [_one_shot(place, group) for _ in range(1 + count // 10)]
    found.add("submit: one call", calls, "ms", "p50 <= 3")
    # The first process compiles what the others find compiled.
    found.add("submit: whole process", whole[1:], "ms", "median <= 250")
    joined = await _joining(place, asked.times(3))
    found.add("new member, 30 jobs queued: ready to first job", joined, "ms", "worst <= 200")


async def starts(place: BenchPlace, kind: Kind, count: int, group: str = "") -> list[float]:
    """Return how long single jobs wait in an idle fleet with a steward, in milliseconds."""
    async with place.fleet(kind, 3, 4, group=group) as fleet:
        return (await single_starts(place, fleet.group, 5 + count))[5:]


async def single_starts(place: BenchPlace, group: str, count: int) -> list[float]:
    """Return how long each of `count` jobs waits; they come one by one, in no fixed rhythm."""
    waits = []
    for number in range(count):
        waits.append(await one_start(place, group))
        await asyncio.sleep(0.15 + 0.013 * (number % 10))
    return waits


async def one_start(place: BenchPlace, group: str, key: str = "") -> float:
    """Return the milliseconds from the sending of a job to its body's beginning."""
    sent = time.time()
    ids = await jobs.submit(place.wire, group, [0.0], key=key)
    (done,) = await jobs.finish(place.wire, ids, 0.02)
    return 1000 * (done.began - sent)


async def _beside_busy(place: BenchPlace, kind: Kind, count: int) -> list[float]:
    """Return the waits of single jobs on three members with one slot, one of which is busy."""
    async with place.fleet(kind, 3, 1) as fleet:
        long = await jobs.submit(place.wire, fleet.group, [0.5 * count])
        await asyncio.sleep(1)
        ids = []
        for number in range(count):
            ids += await jobs.submit(place.wire, fleet.group, [0.02])
            await asyncio.sleep(0.25 + 0.013 * (number % 10))
        waits = jobs.waits(await jobs.finish(place.wire, ids))
        await jobs.all_done(place.wire, long)
    return waits


async def _bursts(place: BenchPlace, kind: Kind, count: int) -> list[float]:
    """Send a job for each idle slot at once; return the milliseconds until the last has begun."""
    waits = []
    async with place.fleet(kind, BURST, 1) as fleet:
        for _ in range(count):
            ids = await jobs.submit(place.wire, fleet.group, [1.0] * BURST)
            done = await jobs.finish(place.wire, ids)
            first, last = min(one.created for one in done), max(one.began for one in done)
            waits.append(1000 * (last - first))
    return waits


async def submit_times(place: BenchPlace, group: str, count: int) -> list[float]:
    """Return what each of so many creations on a warm connection took, in milliseconds."""
    calls = []
    for _ in range(count):
        began = time.perf_counter()
        await jobs.submit(place.wire, group, [0.0])
        calls.append(1000 * (time.perf_counter() - began))
    return calls


def _one_shot(place: BenchPlace, group: str) -> float:
    """Return the milliseconds of a whole client process that submits one job."""
    options = ["--url", place.url, "--group", group, "--cost", "0"]
    command = room_command("submit", *options)
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **COMPILED})  # noqa: S603 - our own
    return 1000 * (time.perf_counter() - began)


async def _joining(place: BenchPlace, count: int) -> list[float]:
    """Start a member where 30 jobs wait; return the milliseconds from ready to its first body."""
    waits = []
    async with place.with_stewards():
        for _ in range(count):
            async with place.fleet("ours", 0, 1, stewards=0) as fleet:
                ids = await jobs.submit(place.wire, fleet.group, [0.02] * 30)
                member = await fleet.add()
                done = await jobs.finish(place.wire, ids)
                waits.append(1000 * (min(one.began for one in done) - member.ready_at()))
    return waits


async def console(place: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Single jobs for an idle fleet, in turns with ten pages of the console open and with none."""
    starts: dict[bool, list[float]] = {True: [], False: []}
    shares: dict[bool, list[float]] = {True: [], False: []}
    async with place.fleet("ours", 3, 4) as fleet:
        (steward,) = place.stewards
        await single_starts(place, fleet.group, JOBS)
        for turn in range(2 * asked.times(8)):
            opened = turn % 2 == 0
            async with _pages(steward.port, PAGES if opened else 0):
                spent = Spent(steward)
                starts[opened] += await single_starts(place, fleet.group, JOBS)
                shares[opened].append(spent.share())
    more = [100 * (with_ - without) for with_, without in zip(*shares.values(), strict=True)]
    later = percentile(starts[True], 0.5) - percentile(starts[False], 0.5)
    found.add("idle to start, no page open", starts[False], "ms")
    found.add(f"idle to start, {PAGES} pages open", starts[True], "ms")
    found.add("p50 later by", later, "ms", "worst <= 1")
    what = f"steward's processor time for {PAGES} pages"
    found.add(what, more, "% of a core", "median <= 5")


@asynccontextmanager
async def _pages(port: str, count: int) -> AsyncIterator[None]:
    """Keep so many pages of the console open."""

    async def read() -> None:
        with suppress(aiohttp.ClientError):
            async with http.get(f"http://{HOST}:{port}/events") as stream:
                async for _ in stream.content.iter_any():
                    pass

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:
        open_ = [asyncio.create_task(read()) for _ in range(count)]
        try:
            yield
        finally:
            await cancel(open_)

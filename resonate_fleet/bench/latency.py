"""How soon a job starts, and how soon it is submitted."""

import asyncio
import os
import subprocess
import sys
import time

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, at_most, figure
from resonate_fleet.bench.place import Asked, BenchPlace
from resonate_fleet.bench.processes import Kind
from resonate_fleet.contract.ids import new_id

#: Members with one slot, and jobs that are sent to them at once.
BURST = 5


async def latency(place: BenchPlace, asked: Asked) -> list[Figure]:
    """Single jobs, bursts and submissions, on idle fleets and beside busy members."""
    count, goals = max(50, 10 * asked.times(10)), at_most(p50=7, p99=15)
    last = f"{BURST} jobs at once for {BURST} idle slots: the last begins after"
    figures = []
    for kind in asked.kinds:
        idle = await starts(place, kind, count)
        busy = await _beside_busy(place, kind, count)
        burst = await _bursts(place, kind, count // 5)
        figures += [
            figure("latency", "idle to start", idle, "ms", goals, kind),
            figure("latency", "idle to start beside a busy member", busy, "ms", goals, kind),
            figure("latency", last, burst, "ms", at_most(median=15), kind),
        ]
    group = place.new_group("submission")  # nobody serves it
    calls = await submit_times(place, group, 2 * count)
    whole = [await asyncio.to_thread(_one_shot, place, group) for _ in range(1 + count // 10)]
    joined = await _joining(place, asked.times(3))
    return [
        *figures,
        figure("latency", "submit: one call", calls, "ms", at_most(p50=3)),
        # The first process compiles what the others find compiled.
        figure("latency", "submit: whole process", whole[1:], "ms", at_most(median=250)),
        figure("latency", "new member, 30 jobs queued: ready to first job", joined, "ms",
               at_most(worst=200)),
    ]  # fmt: skip


async def starts(
    place: BenchPlace, kind: Kind, count: int, group: str | None = None
) -> list[float]:
    """Return how long single jobs wait in an idle fleet with a steward, in milliseconds."""
    with place.fleet(kind, 3, 4, group=group) as fleet:
        return (await single_starts(place, fleet.group, 5 + count))[5:]


async def single_starts(place: BenchPlace, group: str, count: int) -> list[float]:
    """Return how long each of so many jobs waits that come one by one, out of any rhythm."""
    waits = []
    for number in range(count):
        waits.append(await one_start(place, group))
        await asyncio.sleep(0.15 + 0.013 * (number % 10))
    return waits


async def one_start(place: BenchPlace, group: str, **tags: str) -> float:
    """Return the milliseconds from the sending of a job to its body's beginning."""
    job, sent = new_id(), time.time()
    await jobs.submit_one(place.wire, group, 0.0, job, **tags)
    (done,) = await jobs.finish(place.wire, [job], 0.02)
    return 1000 * (done.began - sent)


async def _beside_busy(place: BenchPlace, kind: Kind, count: int) -> list[float]:
    """Single jobs for the idle ones of three members with one slot, of which one is busy."""
    with place.fleet(kind, 3, 1) as fleet:
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
    """As many jobs at once as there are idle slots: milliseconds until the last has begun."""
    waits = []
    with place.fleet(kind, BURST, 1) as fleet:
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
        await jobs.submit_one(place.wire, group, 0.0, new_id())
        calls.append(1000 * (time.perf_counter() - began))
    return calls


def _one_shot(place: BenchPlace, group: str) -> float:
    """Return the milliseconds of a whole client process that submits one job."""
    options = ["--url", place.url, "--group", group, "--cost", "0"]
    command = [sys.executable, "-m", "resonate_fleet.submit", *options]
    env = {**os.environ, **place.processes.env}
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=env)  # noqa: S603 - our own
    return 1000 * (time.perf_counter() - began)


async def _joining(place: BenchPlace, count: int) -> list[float]:
    """A new member where 30 jobs wait: milliseconds from ready to the first body's beginning."""
    waits = []
    with place.with_stewards():
        for _ in range(count):
            with place.fleet("ours", 0, 1, stewards=0) as fleet:
                ids = await jobs.submit(place.wire, fleet.group, [0.02] * 30)
                member = fleet.add()
                done = await jobs.finish(place.wire, ids)
                waits.append(1000 * (min(one.began for one in done) - member.ready_at()))
    return waits

"""How soon a job starts, and how soon it is submitted."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, Goal, at_most
from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.place import Kind, Place
from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.journal import MemberReady

MEMBERS, SLOTS = 3, 4
#: Members with one slot, and jobs that are sent to them at once.
BURST = 5


def _milliseconds(what: str, kind: Kind, values: list[float], goals: tuple[Goal, ...]) -> Figure:
    judged = goals if kind == "ours" else ()
    return Figure(measure="latency", what=what, worker=kind, unit="ms", values=values, goals=judged)


async def idle_to_start(
    place: Place, wire: CountedWire, seeds: int, kinds: Sequence[Kind]
) -> list[Figure]:
    """Single jobs for an idle fleet: from the client's sending to the body's beginning."""
    figures = []
    for kind in kinds:
        waits = await starts(place, wire, kind, 10 * seeds)
        figures.append(_milliseconds("idle to start", kind, waits, at_most(p50=7, p99=15)))
    return figures


async def starts(place: Place, wire: CountedWire, kind: Kind, count: int) -> list[float]:
    """Return how long single jobs wait in an idle fleet with a steward, in milliseconds."""
    group = place.new_group("latency")
    with place.with_stewards(), place.members(kind, group, MEMBERS, SLOTS):
        waits = []
        for number in range(5 + count):
            waits.append(await one_start(wire, group))
            await asyncio.sleep(0.15 + 0.013 * (number % 10))
    return waits[5:]


async def one_start(wire: CountedWire, group: str) -> float:
    """Return the milliseconds from the sending of a job to its body's beginning."""
    job, sent = new_id(), time.time()
    await jobs.submit_one(wire, group, 0.0, job)
    (done,) = await jobs.finish(wire, [job], 0.02)
    return 1000 * (done.began - sent)


async def beside_busy(
    place: Place, wire: CountedWire, seeds: int, kinds: Sequence[Kind]
) -> list[Figure]:
    """Single jobs for the idle ones of three members with one slot, of which one is busy."""
    figures = []
    count = 10 * seeds
    for kind in kinds:
        group = place.new_group("busy")
        with place.with_stewards(), place.members(kind, group, 3, 1):
            long = await jobs.submit(wire, group, [0.5 * count])
            await asyncio.sleep(1)
            ids = []
            for number in range(count):
                ids += await jobs.submit(wire, group, [0.02])
                await asyncio.sleep(0.25 + 0.013 * (number % 10))
            waits = jobs.waits(await jobs.finish(wire, ids))
            await jobs.all_done(wire, long)
        what = "idle to start beside a busy member"
        figures.append(_milliseconds(what, kind, waits, at_most(p50=7, p99=15)))
    return figures


async def burst(place: Place, wire: CountedWire, seeds: int, kinds: Sequence[Kind]) -> list[Figure]:
    """As many jobs at once as there are idle slots: until the last of them has begun."""
    figures = []
    for kind in kinds:
        group, waits = place.new_group("burst"), []
        with place.with_stewards(), place.members(kind, group, BURST, 1):
            for _ in range(seeds):
                done = await jobs.finish(wire, await jobs.submit(wire, group, [1.0] * BURST))
                first = min(one.created for one in done)
                waits.append(1000 * (max(one.began for one in done) - first))
        what = f"{BURST} jobs at once for {BURST} idle slots: the last begins after"
        figures.append(_milliseconds(what, kind, waits, at_most(median=15)))
    return figures


async def submission(place: Place, wire: CountedWire, seeds: int) -> list[Figure]:
    """One call on a warm connection; a whole one-shot client process."""
    group = place.new_group("submission")  # nobody serves it
    calls = await submit_times(wire, group, 20 * seeds)
    whole = [await asyncio.to_thread(_one_shot, place, group) for _ in range(1 + max(3, seeds))]
    # The first process compiles what the others find compiled.
    return [
        _milliseconds("submit: one call", "ours", calls, at_most(p50=3)),
        _milliseconds("submit: whole process", "ours", whole[1:], at_most(median=250)),
    ]


async def submit_times(wire: CountedWire, group: str, count: int) -> list[float]:
    """Return what each of so many creations took, in milliseconds."""
    calls = []
    for _ in range(count):
        began = time.perf_counter()
        await jobs.submit_one(wire, group, 0.0, new_id())
        calls.append(1000 * (time.perf_counter() - began))
    return calls


def _one_shot(place: Place, group: str) -> float:
    options = ["--url", place.url, "--group", group, "--cost", "0"]
    command = [sys.executable, "-m", "resonate_fleet.submit", *options]
    env = {**os.environ, **place.processes.env}
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=env)  # noqa: S603 - our own
    return 1000 * (time.perf_counter() - began)


async def joining(place: Place, wire: CountedWire, seeds: int) -> list[Figure]:
    """A new member where 30 jobs wait: from ready to the first body's beginning."""
    waits = []
    with place.with_stewards():
        for _ in range(seeds):
            group = place.new_group("joining")
            ids = await jobs.submit(wire, group, [0.02] * 30)
            with place.members("ours", group, 1, 1) as (member,):
                done = await jobs.finish(wire, ids)
                ready = next(line.at for line in member.journal() if isinstance(line, MemberReady))
            waits.append(1000 * (min(one.began for one in done) - ready))
    what = "new member, 30 jobs queued: ready to first job"
    return [_milliseconds(what, "ours", waits, at_most(worst=200))]

"""How soon a job starts, how soon it is submitted, and how quiet an idle fleet is."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, judged, percentile
from resonate_fleet.bench.place import Kind, Place, end
from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.journal import MemberReady
from resonate_fleet.contract.wire import Wire

MEMBERS, SLOTS = 3, 4
#: Members with one slot, and jobs that are sent to them at once.
BURST = 5
WATCH_SECONDS = 10.0


async def idle_to_start(
    place: Place, wire: Wire, seeds: int, kinds: Sequence[Kind]
) -> list[Figure]:
    """Single jobs for an idle fleet: from the client's sending to the body's beginning."""
    figures = []
    for kind in kinds:
        group = place.new_group("latency")
        members = place.members(kind, group, MEMBERS, SLOTS)
        waits: list[float] = []
        for number in range(5 + 10 * seeds):
            waits.append(1000 * await one_start(wire, group))
            await asyncio.sleep(0.15 + 0.013 * (number % 10))
        end(members)
        figures += _waits(kind, waits[5:], "idle to start")
    return figures


async def beside_busy(place: Place, wire: Wire, seeds: int, kinds: Sequence[Kind]) -> list[Figure]:
    """Single jobs for the idle ones of three members with one slot, of which one is busy."""
    figures = []
    count = 10 * seeds
    with place.steward() as steward:
        for kind in kinds:
            group = place.new_group("busy")
            members = place.members(kind, group, 3, 1, WORKER_STEWARD=steward)
            await jobs.submit(wire, group, [0.5 * count])
            await asyncio.sleep(1)
            ids = []
            for number in range(count):
                ids += await jobs.submit(wire, group, [0.02])
                await asyncio.sleep(0.25 + 0.013 * (number % 10))
            await jobs.all_done(wire, group)
            done = await jobs.read(wire, ids)
            end(members)
            waits = [1000 * (one.began - one.created) for one in done]
            figures += _waits(kind, waits, "idle to start beside a busy member")
    return figures


async def burst(place: Place, wire: Wire, seeds: int, kinds: Sequence[Kind]) -> list[Figure]:
    """As many jobs at once as there are idle slots: until the last of them has begun."""
    figures = []
    with place.steward() as steward:
        for kind in kinds:
            group = place.new_group("burst")
            members = place.members(kind, group, BURST, 1, WORKER_STEWARD=steward)
            waits = []
            for _ in range(seeds):
                ids = await jobs.submit(wire, group, [1.0] * BURST)
                await jobs.all_done(wire, group)
                done = await jobs.read(wire, ids)
                first = min(one.created for one in done)
                waits.append(1000 * (max(one.began for one in done) - first))
            end(members)
            what = f"{BURST} jobs at once for {BURST} idle slots: the last begins after"
            figures.append(
                Figure(measure="latency", what=what, worker=kind, unit="ms", values=waits)
            )
    return figures


async def one_start(wire: Wire, group: str) -> float:
    job, sent = new_id(), time.time()
    await jobs.submit_one(wire, group, 0.0, job)
    await jobs.all_done(wire, group, 0.02)
    return (await jobs.read(wire, [job]))[0].began - sent


def _waits(kind: Kind, milliseconds: list[float], what: str) -> list[Figure]:
    base = Figure(measure="latency", what=what, worker=kind, unit="ms", values=milliseconds)
    if kind == "plain":
        return [base]
    return [
        judged(base, "p50", 10, statistics.median, "at most"),
        judged(base, "p99", 50, lambda all_: percentile(all_, 0.99), "at most"),
    ]


async def submission(place: Place, wire: Wire, seeds: int) -> list[Figure]:
    """One call on a warm connection; a whole one-shot client process."""
    group = place.new_group("submission")  # nobody serves it
    calls = []
    for _ in range(20 * seeds):
        began = time.perf_counter()
        await jobs.submit_one(wire, group, 0.0, new_id())
        calls.append(1000 * (time.perf_counter() - began))
    whole = [await asyncio.to_thread(_one_shot, place, group) for _ in range(1 + max(3, seeds))]
    whole = whole[1:]  # the first compiles what the others find compiled
    call = Figure(
        measure="latency", what="submit: one call", worker="ours", unit="ms", values=calls
    )
    process = Figure(
        measure="latency", what="submit: whole process", worker="ours", unit="ms", values=whole
    )
    return [
        judged(call, "p50", 3, statistics.median, "at most"),
        judged(process, "median", 250, statistics.median, "at most"),
    ]


def _one_shot(place: Place, group: str) -> float:
    command = [
        sys.executable,
        "-m",
        "resonate_fleet.submit",
        "--url",
        place.url,
        "--group",
        group,
        "--cost",
        "0",
    ]
    env = {**os.environ, **place.processes.env}
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=env)  # noqa: S603 - our own
    return 1000 * (time.perf_counter() - began)


async def joining(place: Place, wire: Wire, seeds: int) -> list[Figure]:
    """A new member where 30 jobs wait: from ready to the first body's beginning."""
    waits = []
    for _ in range(seeds):
        group = place.new_group("joining")
        ids = await jobs.submit(wire, group, [0.02] * 30)
        members = place.members("ours", group, 1, 1)
        await jobs.all_done(wire, group)
        ready = next(line.at for line in members[0].journal() if isinstance(line, MemberReady))
        first = min(one.began for one in await jobs.read(wire, ids))
        waits.append(1000 * (first - ready))
        end(members)
    what = "new member, 30 jobs queued: ready to first job"
    figure = Figure(measure="latency", what=what, worker="ours", unit="ms", values=waits)
    return [judged(figure, "worst", 200, max, "at most")]


async def idle(place: Place, kinds: Sequence[Kind]) -> list[Figure]:
    """Requests that an idle fleet sends."""
    figures = []
    for kind in kinds:
        members = place.members(kind, place.new_group("idle"), MEMBERS, SLOTS)
        await asyncio.sleep(3)  # the first looks come close together
        before = place.server_metric("resonate_request_total")
        await asyncio.sleep(WATCH_SECONDS)
        after = place.server_metric("resonate_request_total")
        end(members)
        rate = (after - before) / WATCH_SECONDS / MEMBERS
        figure = Figure(
            measure="idle", what="requests a member", worker=kind, unit="1/s", values=[rate]
        )
        figures.append(judged(figure, "", 1.0, max, "at most") if kind == "ours" else figure)
    return figures

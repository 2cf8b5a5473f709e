"""How soon a job starts elsewhere, and what a fault costs: real processes, real signals.

Times are read off the members' own journals.
"""

import asyncio
import random
import signal
import time
from collections.abc import Callable

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, at_most, figure
from resonate_fleet.bench.jobs import Done
from resonate_fleet.bench.loads import greedy_bound, uniform
from resonate_fleet.bench.place import Asked, BenchFleet, BenchPlace
from resonate_fleet.bench.processes import WorkerProcess, wait_for
from resonate_fleet.contract.journal import Claimed, Ended, ServerBack

#: Seconds of a job that is struck, and how far into it.
COST, INTO = 2.0, 0.5
#: Seconds without any steward.
AWAY = 30.0


async def recovery(place: BenchPlace, asked: Asked) -> list[Figure]:
    """Kill members, stewards and the server, in turn."""
    alone = await kills(place, asked.times(20))
    both = await kills(place, asked.times(20), stewards=2, steward_too=True)
    lapsed = await kills(place, asked.times(5), stewards=0, WORKER_LEASE="6")
    back = await _hand_backs(place, asked.times(10))
    handed_back = "SIGTERM, a job longer than the drain: from hand-back to claim"
    return [
        _seconds("SIGKILL, ttl 60 s", alone, p50=0.13, worst=0.17),
        _seconds("steward and worker killed in the same instant", both, p50=0.5, worst=1.5),
        _seconds("SIGKILL without any steward, ttl 6 s", lapsed, worst=8),
        _seconds(handed_back, back, worst=1),
        *await _steward_killed(place, asked.times(5)),
        *await _stewards_away(place),
        *await _server_killed(place, asked.times(10)),
    ]


def _seconds(what: str, values: list[float], **bounds: float) -> Figure:
    return figure("recovery", what, values, "s", at_most(**bounds))


def _redone(what: str, done: list[Done]) -> Figure:
    again = float(sum(one.attempt > 1 for one in done))
    return figure("recovery", f"{what}: redone", [again], goals=at_most(worst=0))


async def kills(
    place: BenchPlace, count: int, *, stewards: int = 1, steward_too: bool = False, **env: str
) -> list[float]:
    """Return how long each job of a killed member waited for its next claim, in seconds."""
    with place.fleet("ours", 3, 1, stewards=stewards, **env) as fleet:
        found = []
        for _ in range(count):
            await until("a whole fleet", fleet.whole)
            found.append(await _kill(place, fleet, steward_too=steward_too))
    return found


async def _kill(place: BenchPlace, fleet: BenchFleet, *, steward_too: bool) -> float:
    ids = await jobs.submit(place.wire, fleet.group, [COST])
    holder, _ = await _claim(fleet, ids[0], 1)
    await asyncio.sleep(INTO)
    serving = fleet.stewards[:1] if steward_too else []
    for steward in serving:
        steward.process.strike()
    at = holder.process.strike()
    fleet.members.remove(holder)
    _, again = await _claim(fleet, ids[0], 2)
    for steward in serving:
        await asyncio.to_thread(place.restart, steward)
    await asyncio.to_thread(fleet.add)
    await jobs.all_done(place.wire, ids)
    return again.at - at


async def _hand_backs(place: BenchPlace, count: int) -> list[float]:
    """SIGTERM to the member that holds a job longer than the drain's deadline."""
    found = []
    with place.fleet("ours", 3, 1, WORKER_DRAIN="0.5") as fleet:
        for _ in range(count):
            ids = await jobs.submit(place.wire, fleet.group, [COST])
            holder, _ = await _claim(fleet, ids[0], 1)
            holder.process.send(signal.SIGTERM)
            fleet.members.remove(holder)
            _, again = await _claim(fleet, ids[0], 2)
            ends = [line for line in holder.lines() if isinstance(line, Ended)]
            found.append(again.at - next(one.at for one in ends if one.outcome == "released"))
            await asyncio.to_thread(fleet.add)
            await jobs.all_done(place.wire, ids)
    return found


async def _steward_killed(place: BenchPlace, times: int) -> list[Figure]:
    """Kill the steward that serves, under 100 jobs a second; another one stands by."""
    every = 4.0
    with place.fleet("ours", 3, 8, stewards=2) as fleet:
        await until("a whole fleet", fleet.whole)
        load = [0.02] * int(100 * every * (times + 0.5))
        submitting = asyncio.create_task(
            jobs.submit_steadily(place.wire, fleet.group, load, rate=100)
        )
        for _ in range(times):
            await asyncio.sleep(every / 2)
            fleet.stewards[0].process.strike()
            await asyncio.sleep(every / 2)
            await asyncio.to_thread(place.restart, fleet.stewards[0])
            await until("a whole fleet", fleet.whole)
        done = await jobs.finish(place.wire, await submitting)
    what = f"the serving steward killed {times} times under 100 jobs/s"
    waits, goals = jobs.waits(done), at_most(worst=150)
    return [
        _redone(what, done),
        figure("recovery", f"{what}: start after creation", waits, "ms", goals),
    ]


async def _stewards_away(place: BenchPlace) -> list[Figure]:
    """All stewards away for some seconds in the middle of a load of twice that."""
    slots = 12
    costs = uniform(1, int(1.5 * AWAY * slots), 0.5, 1.5)
    with place.fleet("ours", 3, 4, stewards=2) as fleet:
        await until("a whole fleet", fleet.whole)
        ids = await jobs.submit(place.wire, fleet.group, costs, 8)
        await asyncio.sleep(AWAY / 6)
        for steward in fleet.stewards:
            steward.process.strike()
        await asyncio.sleep(AWAY)
        for steward in list(fleet.stewards):
            await asyncio.to_thread(place.restart, steward)
        returned = time.monotonic()
        await until("it to serve again", fleet.whole)
        back = time.monotonic() - returned
        done = await jobs.finish(place.wire, ids)
    what = f"all stewards away for {AWAY:g} s under load"
    ratio, goals = jobs.makespan(done) / greedy_bound(costs, slots), at_most(worst=1.05)
    return [
        _redone(what, done),
        figure("recovery", f"{what}: makespan / bound", [ratio], goals=goals),
        _seconds(f"{what}: members back after their return", [back], worst=2),
    ]


async def _server_killed(place: BenchPlace, times: int) -> list[Figure]:
    """Kill the server and start it on its store, `times` times in the middle of a load."""
    if place.server is None:
        return []  # not ours to kill
    returns = list[float]()
    with place.fleet("ours", 3, 4, WORKER_LEASE="20") as fleet:
        ids = await jobs.submit(place.wire, fleet.group, uniform(1, 40 * times, 0.2, 1.0), 8)
        for _ in range(times):
            await asyncio.sleep(random.uniform(0.3, 1.0))  # anywhere in the work
            await asyncio.to_thread(place.restart_server)
            await place.wire.wait_ready(30)
            returns.append(time.time())
            await asyncio.sleep(1.5)
        done = await jobs.finish(place.wire, ids)
        backs = [
            max(0.0, line.at - max(at for at in returns if at - 0.5 <= line.at))
            for member in fleet.members
            for line in member.lines()
            if isinstance(line, ServerBack)
        ]
    what = f"server killed {times} times in {len(ids)} jobs"
    return [_redone(what, done), _seconds(f"{what}: members back", backs, worst=2)]


async def _claim(fleet: BenchFleet, job: str, attempt: int) -> tuple[WorkerProcess, Claimed]:
    """Wait until the job is claimed that often; return by whom and how."""
    found: list[tuple[WorkerProcess, Claimed]] = []

    def claimed() -> bool:
        found.extend(
            (member, line)
            for member in fleet.members
            for line in member.lines()
            if isinstance(line, Claimed) and line.job == job and line.attempt >= attempt
        )
        return bool(found)

    await until(f"claim {attempt} of {job}", claimed)
    return found[0]


async def until(what: str, condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_for, what, condition)

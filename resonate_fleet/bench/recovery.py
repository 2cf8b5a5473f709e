"""How soon a job starts elsewhere, and what a fault costs: real processes, real signals.

Times are read off the members' own journals.
"""

import asyncio
import random
import signal
import time
from collections.abc import Sequence

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import BenchFigures
from resonate_fleet.bench.jobs import Done, greedy_bound, uniform
from resonate_fleet.bench.place import Asked, BenchFleet, BenchPlace
from resonate_fleet.bench.processes import StewardProcess, WorkerProcess, until
from resonate_fleet.contract.journal import Claimed, Ended, ServerBack

#: Seconds of a job that is struck, and how far into it.
COST, INTO = 2.0, 0.5
#: Seconds without any steward.
AWAY = 30.0


async def recovery(place: BenchPlace, asked: Asked, found: BenchFigures) -> None:
    """Kill members, stewards and the server, in turn."""
    times = asked.times(20)
    alone = await kills(place, times)
    found.add("SIGKILL, ttl 60 s", alone, "s", "p50 <= 0.13, worst <= 0.17")
    both = await kills(place, times, stewards=2, steward_too=True)
    what = "steward and worker killed in the same instant"
    found.add(what, both, "s", "p50 <= 0.5, worst <= 1.5")
    lapsed = await kills(place, asked.times(5), stewards=0, WORKER_LEASE="6")
    found.add("SIGKILL without any steward, ttl 6 s", lapsed, "s", "worst <= 8")
    back = await _hand_backs(place, asked.times(10))
    what = "SIGTERM, a job longer than the drain: from hand-back to claim"
    found.add(what, back, "s", "worst <= 1")
    await _steward_killed(place, asked.times(5), found)
    await _stewards_away(place, found)
    await _server_killed(place, asked.times(10), found)


async def kills(
    place: BenchPlace, count: int, *, stewards: int = 1, steward_too: bool = False, **env: str
) -> list[float]:
    """Return how long each job of a killed member waited for its next claim, in seconds."""
    found = []
    async with place.fleet("ours", 3, 1, stewards=stewards, **env) as fleet:
        for _ in range(count):
            await fleet.whole()
            serving = place.stewards[:1] if steward_too else []
            at, _, again = await _struck(place, fleet, signal.SIGKILL, serving)
            found.append(again.at - at)
    return found


async def _hand_backs(place: BenchPlace, count: int) -> list[float]:
    """SIGTERM to the member that holds a job longer than the drain's deadline."""
    found = []
    async with place.fleet("ours", 3, 1, WORKER_DRAIN="0.5") as fleet:
        for _ in range(count):
            _, holder, again = await _struck(place, fleet, signal.SIGTERM)
            released = (one.at for one in holder.journal(Ended) if one.outcome == "released")
            found.append(again.at - next(released))
    return found


async def _struck(
    place: BenchPlace,
    fleet: BenchFleet,
    number: signal.Signals,
    serving: Sequence[StewardProcess] = (),
) -> tuple[float, WorkerProcess, Claimed]:
    """Strike the member that holds a job, and a steward with it; make the fleet whole again.

    Return when that was, who it was, and the job's next claim.
    """
    ids = await jobs.submit(place.wire, fleet.group, [COST])
    holder, _ = await _claim(fleet, ids[0], 1)
    await asyncio.sleep(INTO)
    for steward in serving:
        steward.send(signal.SIGKILL)
    at = time.time()
    holder.send(number)
    fleet.members.remove(holder)
    _, again = await _claim(fleet, ids[0], 2)
    for steward in serving:
        await place.restart(steward)
    await fleet.add()
    await jobs.all_done(place.wire, ids)
    return at, holder, again


async def _steward_killed(place: BenchPlace, times: int, found: BenchFigures) -> None:
    """Kill the steward that serves, under 100 jobs a second; another one stands by."""
    async with place.fleet("ours", 3, 8, stewards=2) as fleet:
        await fleet.whole()
        # The first bodies of a process begin later.
        await jobs.finish(place.wire, await jobs.submit(place.wire, fleet.group, [0.0] * 48))
        striking = asyncio.create_task(_strike_stewards(place, fleet, times))
        due = await jobs.submit_steadily(place.wire, fleet.group, 100, 0.02, striking)
        await striking
        done = await jobs.finish(place.wire, list(due))
    what = f"the serving steward killed {times} times under 100 jobs/s"
    _add_redone(found, what, done)
    found.add(f"{what}: start after creation", jobs.waits(done), "ms", "worst <= 150")


async def _strike_stewards(place: BenchPlace, fleet: BenchFleet, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(2)
        place.stewards[0].send(signal.SIGKILL)
        await asyncio.sleep(2)
        await place.restart(place.stewards[0])
        await fleet.whole()
    await asyncio.sleep(2)


async def _stewards_away(place: BenchPlace, found: BenchFigures) -> None:
    """All stewards away for some seconds in the middle of a load of twice that."""
    slots = 12
    costs = uniform(1, int(1.5 * AWAY * slots), 0.5, 1.5)
    async with place.fleet("ours", 3, 4, stewards=2) as fleet:
        await fleet.whole()
        ids = await jobs.submit(place.wire, fleet.group, costs, 8)
        await asyncio.sleep(AWAY / 6)
        for steward in place.stewards:
            steward.send(signal.SIGKILL)
        await asyncio.sleep(AWAY)
        for steward in list(place.stewards):
            await place.restart(steward)
        returned = time.monotonic()
        await fleet.whole()
        back = time.monotonic() - returned
        done = await jobs.finish(place.wire, ids)
    what = f"all stewards away for {AWAY:g} s under load"
    _add_redone(found, what, done)
    ratio = jobs.makespan(done) / greedy_bound(costs, slots)
    found.add(f"{what}: makespan / bound", ratio, goals="worst <= 1.05")
    found.add(f"{what}: members back after their return", back, "s", "worst <= 2")


async def _server_killed(place: BenchPlace, times: int, found: BenchFigures) -> None:
    """Kill the server and start it on its store, `times` times in the middle of a load."""
    returns = list[float]()
    async with place.fleet("ours", 3, 4, WORKER_LEASE="20") as fleet:
        ids = await jobs.submit(place.wire, fleet.group, uniform(1, 40 * times, 0.2, 1.0), 8)
        for _ in range(times):
            await asyncio.sleep(random.uniform(0.3, 1.0))  # anywhere in the work
            place.server.kill()
            await place.serve()
            returns.append(time.time())
            await asyncio.sleep(1.5)
        done = await jobs.finish(place.wire, ids)
        backs = [
            max(0.0, line.at - max(at for at in returns if at - 0.5 <= line.at))
            for member in fleet.members
            for line in member.journal(ServerBack)
        ]
    what = f"server killed {times} times in {len(ids)} jobs"
    _add_redone(found, what, done)
    found.add(f"{what}: members back", backs, "s", "worst <= 2")


def _add_redone(found: BenchFigures, what: str, done: Sequence[Done]) -> None:
    found.add(f"{what}: redone", sum(one.attempt > 1 for one in done), goals="worst <= 0")


async def _claim(fleet: BenchFleet, job: str, attempt: int) -> tuple[WorkerProcess, Claimed]:
    """Wait until the job is claimed that often; return by whom and how."""
    found: list[tuple[WorkerProcess, Claimed]] = []

    def claimed() -> bool:
        found.extend(
            (member, line)
            for member in fleet.members
            for line in member.journal(Claimed)
            if line.job == job and line.attempt >= attempt
        )
        return bool(found)

    await until(f"claim {attempt} of {job}", claimed)
    return found[0]

"""How soon a job starts elsewhere, and what a fault costs: real processes, real signals.

Times are read off the members' own journals.
"""

import asyncio
import random
import signal
import time
from collections.abc import Callable

from resonate_fleet.bench import bound, jobs, loads
from resonate_fleet.bench.figures import Figure, at_most
from resonate_fleet.bench.jobs import CountedWire, Done, Unfinished
from resonate_fleet.bench.place import Member, Place, Steward
from resonate_fleet.contract.journal import Claimed, Ended, ServerBack
from resonate_fleet.contract.live import LiveState

#: Seconds of a job that is struck, and how far into it.
COST, INTO = 2.0, 0.5
GIVE_UP_SECONDS = 120.0


def _seconds(what: str, values: list[float], **bounds: float) -> Figure:
    return Figure(measure="recovery", what=what, unit="s", values=values, goals=at_most(**bounds))


def _count(what: str, value: int) -> Figure:
    return Figure(measure="recovery", what=what, values=[float(value)], goals=at_most(worst=0))


async def deaths(place: Place, wire: CountedWire, count: int) -> list[Figure]:
    """SIGKILL of the member that holds a job; with the steward it is connected to; without any."""
    alone = await kills(place, wire, count)
    with_steward = await kills(place, wire, count, stewards=2, steward_too=True)
    lapsed = await kills(place, wire, max(1, count // 4), stewards=0, WORKER_LEASE="6")
    return [
        _seconds("SIGKILL, ttl 60 s", alone, p50=0.13, worst=0.17),
        _seconds("steward and worker killed in the same instant", with_steward, p50=0.5, worst=1.5),
        _seconds("SIGKILL without any steward, ttl 6 s", lapsed, worst=8),
    ]


async def kills(
    place: Place,
    wire: CountedWire,
    count: int,
    *,
    stewards: int = 1,
    steward_too: bool = False,
    **env: str,
) -> list[float]:
    """Return how long each job of a killed member waited for its next claim, in seconds."""
    group = place.new_group("killed")
    with (
        place.with_stewards(stewards) as some,
        place.members("ours", group, 3, 1, **env) as members,
    ):
        found = []
        for _ in range(count):
            await _until("the fleet is whole", lambda: _whole(some, group, len(members)))
            found.append(await _kill(place, wire, members, some if steward_too else []))
    return found


async def _kill(
    place: Place, wire: CountedWire, members: list[Member], stewards: list[Steward]
) -> float:
    group = members[0].group
    ids = await jobs.submit(wire, group, [COST])
    holder, _ = await _claim(members, ids[0], 1)
    await asyncio.sleep(INTO)
    for steward in stewards[:1]:
        steward.process.strike()
    at = holder.process.strike()
    members.remove(holder)
    _, again = await _claim(members, ids[0], 2)
    for steward in stewards[:1]:
        await asyncio.to_thread(place.restart, steward)
    members.append(place.start("ours", group, 1))
    await asyncio.to_thread(place.wait_ready, members[-1])
    await jobs.all_done(wire, ids)
    return again.at - at


async def hand_backs(place: Place, wire: CountedWire, count: int) -> list[Figure]:
    """SIGTERM to the member that holds a job longer than the drain's deadline."""
    group, found = place.new_group("drained"), []
    with (
        place.with_stewards(),
        place.members("ours", group, 3, 1, WORKER_DRAIN="0.5") as members,
    ):
        for _ in range(count):
            ids = await jobs.submit(wire, group, [COST])
            holder, _ = await _claim(members, ids[0], 1)
            holder.process.send(signal.SIGTERM)
            members.remove(holder)
            _, again = await _claim(members, ids[0], 2)
            (released,) = (
                line
                for line in holder.journal()
                if isinstance(line, Ended) and line.outcome == "released"
            )
            found.append(again.at - released.at)
            members.append(place.start("ours", group, 1, WORKER_DRAIN="0.5"))
            await asyncio.to_thread(place.wait_ready, members[-1])
            await jobs.all_done(wire, ids)
    return [
        _seconds("SIGTERM, a job longer than the drain: from hand-back to claim", found, worst=1)
    ]


async def steward_killed(place: Place, wire: CountedWire, times: int) -> list[Figure]:
    """Kill the steward that serves, under 100 jobs a second; another one stands by."""
    group, every = place.new_group("served"), 4.0
    with place.with_stewards(2) as stewards, place.members("ours", group, 3, 8):
        await _until("the fleet is whole", lambda: _whole(stewards, group, 3))
        load = [0.02] * int(100 * every * (times + 0.5))
        submitting = asyncio.create_task(jobs.submit_steadily(wire, group, load, 100))
        for _ in range(times):
            await asyncio.sleep(every / 2)
            stewards[0].process.strike()
            await asyncio.sleep(every / 2)
            await asyncio.to_thread(place.restart, stewards[0])
            await _until("the fleet is whole", lambda: _whole(stewards, group, 3))
        done = await jobs.finish(wire, await submitting)
    what = f"the serving steward killed {times} times under 100 jobs/s"
    waits = Figure(measure="recovery", what=f"{what}: start after creation", unit="ms",
                   values=jobs.waits(done), goals=at_most(worst=150))  # fmt: skip
    return [_count(f"{what}: redone", _redone(done)), waits]


async def stewards_away(place: Place, wire: CountedWire, away: float) -> list[Figure]:
    """All stewards away for some seconds in the middle of a load of twice that."""
    group, slots = place.new_group("alone"), 12
    costs = loads.uniform(1, int(1.5 * away * slots), 0.5, 1.5)
    with place.with_stewards(2) as stewards, place.members("ours", group, 3, 4) as members:
        await _until("the fleet is whole", lambda: _whole(stewards, group, 3))
        ids = await jobs.submit(wire, group, costs, 8)
        await asyncio.sleep(away / 6)
        for steward in stewards:
            steward.process.strike()
        await asyncio.sleep(away)
        for steward in list(stewards):
            await asyncio.to_thread(place.restart, steward)
        returned = time.monotonic()
        await _until("it serves again", lambda: _whole(stewards, group, len(members)))
        back = time.monotonic() - returned
        done = await jobs.finish(wire, ids)
    what = f"all stewards away for {away:g} s under load"
    ratio = jobs.makespan(done) / bound.makespan(costs, slots)
    return [
        _count(f"{what}: redone", _redone(done)),
        Figure(measure="recovery", what=f"{what}: makespan / bound", values=[ratio],
               goals=at_most(worst=1.05)),
        _seconds(f"{what}: members back after their return", [back], worst=2),
    ]  # fmt: skip


async def server_killed(place: Place, wire: CountedWire, times: int) -> list[Figure]:
    """Kill the server and start it on its store, `times` times in the middle of a load."""
    if place.server is None:
        return []  # not ours to kill
    group, returns = place.new_group("restarted"), list[float]()
    with place.with_stewards(), place.members("ours", group, 3, 4, WORKER_LEASE="20") as members:
        ids = await jobs.submit(wire, group, loads.uniform(1, 40 * times, 0.2, 1.0), 8)
        for _ in range(times):
            await asyncio.sleep(random.uniform(0.3, 1.0))  # anywhere in the work
            await asyncio.to_thread(place.restart_server)
            await wire.wait_ready(30)
            returns.append(time.time())
            await asyncio.sleep(1.5)
        done = await jobs.finish(wire, ids)
        backs = [
            max(0.0, line.at - max(at for at in returns if at - 0.5 <= line.at))
            for member in members
            for line in member.journal()
            if isinstance(line, ServerBack)
        ]
    what = f"server killed {times} times in {len(ids)} jobs"
    return [
        _count(f"{what}: redone", _redone(done)),
        _seconds(f"{what}: members back", backs, worst=2),
    ]


def _redone(done: list[Done]) -> int:
    return sum(one.attempt > 1 for one in done)


def _whole(stewards: list[Steward], group: str, count: int) -> bool:
    """Return whether each steward knows all the members of the group."""
    return all(_present(steward.state(), group) == count for steward in stewards)


def _present(state: LiveState | None, group: str) -> int:
    members = state.members if state else []
    return sum(one.group == group and one.state == "present" for one in members)


async def _claim(members: list[Member], job: str, attempt: int) -> tuple[Member, Claimed]:
    """Wait until the job is claimed that often; return by whom and how."""

    def look() -> tuple[Member, Claimed] | None:
        for member in members:
            for line in member.journal():
                if isinstance(line, Claimed) and line.job == job and line.attempt >= attempt:
                    return member, line
        return None

    await _until(f"{job} is claimed the {attempt}. time", lambda: look() is not None)
    found = look()
    assert found is not None  # noqa: S101 - a journal only grows
    return found


async def _until(what: str, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + GIVE_UP_SECONDS
    while not await asyncio.to_thread(condition):
        if time.monotonic() > end:
            raise Unfinished(f"not within {GIVE_UP_SECONDS:g} s: {what}")
        await asyncio.sleep(0.02)

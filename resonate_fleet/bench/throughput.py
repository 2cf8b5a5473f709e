"""How many no-op jobs a second, steadily and out of a backlog, and what bounds it."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

from resonate.resonate import Resonate

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, judged
from resonate_fleet.bench.place import Kind, Member, Place, end
from resonate_fleet.contract.wire import Wire
from resonate_fleet.contract.words import COMPUTE_SOMETHING

#: Requests of a client that are on their way at once.
AT_ONCE = 32
#: What the SDK takes on at once unless told otherwise.
SDK_TASKS = 64
SLOTS = 16


async def steady(
    place: Place, wire: Wire, seeds: int, kinds: Sequence[Kind], count: int = 2000
) -> list[Figure]:
    """2 members; jobs that do nothing, submitted as fast as it goes."""
    rates: dict[Kind, list[float]] = {kind: [] for kind in kinds}
    costs: list[Figure] = []
    groups = {kind: place.new_group("throughput") for kind in kinds}
    members = {
        kind: place.members(kind, groups[kind], 2, SLOTS if kind == "ours" else SDK_TASKS)
        for kind in kinds
    }
    drive: dict[Kind, Callable[[], Awaitable[float]]] = {
        "ours": lambda: _ours(wire, groups["ours"], count),
        "plain": lambda: _plain(place, wire, groups["plain"], count),
    }
    for kind in kinds:
        await drive[kind]()  # warm
    for seed in range(seeds):
        for kind in kinds:
            spent = _Spent(place, members[kind])
            rates[kind].append(await drive[kind]())
            if seed == seeds - 1:
                costs += spent.figures(kind, count)
    for some in members.values():
        end(some)
    figures = [
        Figure(
            measure="throughput", what="no-op jobs, 2 members", worker=kind, unit="1/s", values=all_
        )
        for kind, all_ in rates.items()
    ]
    return [*figures, *_ratio(rates), *costs]


def _ratio(rates: dict[Kind, list[float]]) -> list[Figure]:
    if len(rates) < 2:
        return []
    values = [ours / plain for ours, plain in zip(rates["ours"], rates["plain"], strict=True)]
    figure = Figure(
        measure="throughput", what="ours / plain, same run", worker="ours", unit="", values=values
    )
    return [judged(figure, "median", 1.4, statistics.median, "at least")]


class _Spent:
    """Processor time of the processes of a run, a job."""

    def __init__(self, place: Place, members: Sequence[Member]) -> None:
        self._parts = {"members": [one.process for one in members]}
        if place.server is not None:
            self._parts["server"] = [place.server]
        self._before = {name: self._sum(name) for name in self._parts}
        self._client = time.process_time()

    def _sum(self, name: str) -> float:
        return sum(one.cpu_seconds() for one in self._parts[name])

    def figures(self, kind: Kind, count: int) -> list[Figure]:
        spent = {name: self._sum(name) - before for name, before in self._before.items()}
        spent["client"] = time.process_time() - self._client
        return [
            Figure(
                measure="throughput",
                what=f"processor time of the {name}, a job",
                worker=kind,
                unit="ms",
                values=[1000 * seconds / count],
            )
            for name, seconds in spent.items()
        ]


async def _ours(wire: Wire, group: str, count: int) -> float:
    ids = await jobs.submit(wire, group, [0.0] * count, AT_ONCE)
    await jobs.all_done(wire, group, 0.05)
    return count / jobs.makespan(await jobs.read(wire, [ids[0], *ids[-200:]]))


async def _plain(place: Place, wire: Wire, group: str, count: int) -> float:
    """The client of the published examples: a handle a job, whose result is awaited."""
    client = Resonate(url=place.url, group=f"{group}-client")
    run, many = place.new_group("run"), asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with many:
            job = f"{run}-{number:06d}"
            handle = client.options(target=group).rpc(job, COMPUTE_SOMETHING, job, 0.0)
            await handle.result()

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(count)))
    took = time.monotonic() - began
    await client.stop()
    await jobs.all_done(wire, group)
    return count / took


async def drain(place: Place, wire: Wire, count: int) -> list[Figure]:
    """A backlog of no-op jobs for 3 members with 16 slots: rate, refused claims, memory."""
    group = place.new_group("drain")
    ids = await jobs.submit(wire, group, [0.0] * count, AT_ONCE)
    members = place.members("ours", group, 3, SLOTS)
    memory: list[list[int]] = []
    watch = asyncio.create_task(_watch(members, memory))
    await jobs.all_done(wire, group)
    watch.cancel()
    done = await jobs.read(wire, ids)
    rate = count / (max(one.settled for one in done) - min(one.began for one in done))
    refused = sum(one.metric("fleet_worker_claims_total", 'result="refused"') for one in members)
    steady_rate = await _steady_of(wire, group, count // 4)
    end(members)
    return _drained(rate, steady_rate, refused / (refused + count), memory, count)


async def _steady_of(wire: Wire, group: str, count: int) -> float:
    """Return the rate at which the same members do jobs that are submitted meanwhile."""
    return await _ours(wire, group, count)


async def _watch(members: Sequence[Member], memory: list[list[int]]) -> None:
    while True:
        memory.append([one.process.memory_bytes() for one in members])
        await asyncio.sleep(0.5)


def _drained(
    rate: float, steady_rate: float, refused: float, memory: list[list[int]], count: int
) -> list[Figure]:
    def figure(what: str, unit: str, value: float) -> Figure:
        return Figure(measure="drain", what=what, worker="ours", unit=unit, values=[value])

    quarter = max(1, len(memory) // 4)
    growth = max(late / early for early, late in zip(memory[quarter], memory[-1], strict=True))
    return [
        figure(f"backlog of {count} no-op jobs, 3 x {SLOTS} slots", "1/s", rate),
        judged(figure("drain / steady rate", "", rate / steady_rate), "", 0.9, max, "at least"),
        judged(figure("refused claims", "", refused), "", 0.05, max, "at most"),
        judged(figure("memory at the end / after a quarter", "", growth), "", 1.1, max, "at most"),
    ]

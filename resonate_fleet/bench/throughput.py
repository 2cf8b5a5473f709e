"""How many no-op jobs a second, steadily and out of a backlog, and what bounds it."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import harmonic_mean

from resonate.resonate import Resonate

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, at_least, at_most, figure
from resonate_fleet.bench.place import Asked, BenchPlace, Requests
from resonate_fleet.bench.processes import Kind, Process, Spent, WorkerProcess
from resonate_fleet.contract.words import COMPUTE_SOMETHING

#: Requests of a client that are on their way at once.
AT_ONCE = 32
#: What the SDK takes on at once by default.
SDK_TASKS = 64
SLOTS = 16
#: Jobs of a run.
COUNT = 1000
#: Runs of a seed. Both kinds take turns: a machine's speed may double within a minute.
TURNS = 4


@dataclass
class _Side:
    """Members of one kind that do no-ops. `parts` are the processes whose time is measured."""

    kind: Kind
    group: str
    parts: dict[str, list[Process]]
    rates: list[float] = field(default_factory=list)
    #: Of the last run.
    costs: list[Figure] = field(default_factory=list)

    async def run(self, place: BenchPlace) -> None:
        spent = {name: Spent(some) for name, some in self.parts.items()}
        requests, client = Requests(place), time.process_time()
        rate = ours if self.kind == "ours" else _plain
        self.rates.append(await rate(place, self.group, COUNT))
        used = {name: one.seconds() for name, one in spent.items()}
        used["client"] = time.process_time() - client
        self.costs = [
            figure("throughput", f"processor time of the {name}, a job", [1000 * seconds / COUNT],
                   "ms", worker=self.kind)
            for name, seconds in used.items()
        ]  # fmt: skip
        if self.kind == "ours":
            total, refused = requests.total() / COUNT, requests.refused_claims()
            self.costs += [
                figure("throughput", "requests a job", [total], goals=at_most(worst=3.05)),
                figure("throughput", "refused claims", [refused], "share", at_most(worst=0.005)),
            ]

    def rate(self) -> Figure:
        what = "no-op jobs, 2 members"
        return figure("throughput", what, self.rates, "a second", worker=self.kind)


async def throughput(place: BenchPlace, asked: Asked) -> list[Figure]:
    return await steady(place, min(asked.times(20), 5), asked.kinds)


async def steady(place: BenchPlace, seeds: int, kinds: Sequence[Kind]) -> list[Figure]:
    """2 members; jobs that do nothing, submitted as fast as it goes; in turn with the plain SDK."""
    with ExitStack() as stack:
        stewards = stack.enter_context(place.with_stewards())
        sides = []
        for kind in kinds:
            slots = SLOTS if kind == "ours" else SDK_TASKS
            fleet = stack.enter_context(place.fleet(kind, 2, slots, stewards=0))
            parts = {"members": [one.process for one in fleet.members]}
            parts |= {"server": [place.server]} if place.server else {}
            parts |= {"steward": [one.process for one in stewards]} if kind == "ours" else {}
            sides.append(_Side(kind, fleet.group, parts))
        for _ in range(1 + seeds * TURNS):
            for side in sides:
                await side.run(place)
    for side in sides:
        warm = side.rates[1:]
        side.rates = [harmonic_mean(warm[at : at + TURNS]) for at in range(0, len(warm), TURNS)]
    figures = [side.rate() for side in sides]
    if len(sides) == len(("ours", "plain")):
        ratios = [mine / theirs for mine, theirs in zip(*(s.rates for s in sides), strict=True)]
        goals = at_least(least=1.4)
        figures.append(figure("throughput", "ours / plain, same run", ratios, goals=goals))
    return figures + [one for side in sides for one in side.costs]


async def ours(place: BenchPlace, group: str, count: int) -> float:
    """Return the rate of no-op jobs that are submitted as fast as it goes."""
    ids = await jobs.submit(place.wire, group, [0.0] * count, AT_ONCE)
    some = [ids[0], *ids[-200:]]
    await jobs.all_done(place.wire, some, 0.05)
    return count / jobs.makespan(await jobs.read(place.wire, some))


async def _plain(place: BenchPlace, group: str, count: int) -> float:
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
    return count / took


async def drain(place: BenchPlace, asked: Asked) -> list[Figure]:
    """A backlog of no-op jobs for 3 members with 16 slots: rate, refused claims, memory."""
    count, wire, group = asked.jobs or 10_000, place.wire, place.new_group("drain")
    memory: list[list[int]] = []
    ids = await jobs.submit(wire, group, [0.0] * count, AT_ONCE)
    requests = Requests(place)
    with place.fleet("ours", 3, SLOTS, group=group) as fleet:
        watch = asyncio.create_task(_watch(fleet.members, memory))
        await jobs.all_done(wire, ids)
        watch.cancel()
        refused = requests.refused_claims()
        done = await jobs.read(wire, ids)
        rate = count / (max(one.settled for one in done) - min(one.began for one in done))
        steady_rate = await ours(place, group, max(500, count // 10))
        steward = fleet.stewards[0].process.memory_bytes() / 1e6
    early, late = memory[len(memory) // 4], memory[-1]
    growth = max(after / before for before, after in zip(early, late, strict=True))
    what = f"backlog of {count} no-op jobs, 3 x {SLOTS} slots"
    return [
        figure("drain", what, [rate], "a second"),
        figure("drain", "drain / steady rate", [rate / steady_rate], goals=at_least(least=0.9)),
        figure("drain", "refused claims", [refused], "share", at_most(worst=0.005)),
        figure("drain", "members' memory at the end / after a quarter", [growth],
               goals=at_most(worst=1.1)),
        figure("drain", "steward's memory at the end", [steward], "MB", at_most(worst=200)),
    ]  # fmt: skip


async def _watch(members: Sequence[WorkerProcess], memory: list[list[int]]) -> None:
    while True:
        memory.append([one.process.memory_bytes() for one in members])
        await asyncio.sleep(0.5)

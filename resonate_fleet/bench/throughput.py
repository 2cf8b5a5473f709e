"""How many no-op jobs a second, steadily and out of a backlog, and what bounds it."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from resonate.resonate import Resonate

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import Figure, Goal, at_least, at_most
from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.place import Kind, Member, Place, Requests, Spent
from resonate_fleet.bench.processes import Process
from resonate_fleet.contract.words import COMPUTE_SOMETHING

#: Requests of a client that are on their way at once.
AT_ONCE = 32
#: What the SDK takes on at once unless told otherwise.
SDK_TASKS = 64
SLOTS = 16


@dataclass
class _Side:
    """Members of one kind that do no-ops. `parts` are the processes whose time is told."""

    kind: Kind
    group: str
    parts: dict[str, list[Process]]
    rates: list[float] = field(default_factory=list)
    #: Of the last run.
    costs: list[Figure] = field(default_factory=list)

    async def run(self, place: Place, wire: CountedWire, count: int) -> None:
        spent = {name: Spent(some) for name, some in self.parts.items()}
        requests, client = Requests(place, wire), time.process_time()
        if self.kind == "ours":
            rate = await ours(wire, self.group, count)
        else:
            rate = await _plain(place, self.group, count)
        used = {name: one.seconds() for name, one in spent.items()}
        used["client"] = time.process_time() - client
        self.rates.append(rate)
        self.costs = [
            self._figure(f"processor time of the {name}, a job", "ms", 1000 * seconds / count)
            for name, seconds in used.items()
        ]
        if self.kind == "ours":
            asked = requests.total() / count
            self.costs += [
                self._figure("requests a job", "", asked, *at_most(worst=3.05)),
                self._figure("refused claims", "share", requests.refused_claims(),
                             *at_most(worst=0.005)),
            ]  # fmt: skip

    def _figure(self, what: str, unit: str, value: float, *goals: Goal) -> Figure:
        return Figure(measure="throughput", what=what, worker=self.kind, unit=unit,
                      values=[value], goals=goals)  # fmt: skip

    def rate(self) -> Figure:
        what = "no-op jobs, 2 members"
        return Figure(measure="throughput", what=what, worker=self.kind, unit="a second",
                      values=self.rates)  # fmt: skip


async def steady(
    place: Place, wire: CountedWire, seeds: int, kinds: Sequence[Kind], count: int = 2000
) -> list[Figure]:
    """2 members; jobs that do nothing, submitted as fast as it goes; in turn with the plain SDK."""
    with ExitStack() as stack:
        stewards = stack.enter_context(place.with_stewards())
        sides = []
        for kind in kinds:
            group, slots = place.new_group("throughput"), SLOTS if kind == "ours" else SDK_TASKS
            members = stack.enter_context(place.members(kind, group, 2, slots))
            parts = {"members": [one.process for one in members]}
            parts |= {"server": [place.server]} if place.server else {}
            parts |= {"steward": [one.process for one in stewards]} if kind == "ours" else {}
            sides.append(_Side(kind, group, parts))
        for _ in range(1 + seeds):
            for side in sides:
                await side.run(place, wire, count)
    for side in sides:
        del side.rates[0]  # which warms
    figures = [side.rate() for side in sides]
    if len(sides) == len(("ours", "plain")):
        ratios = [mine / theirs for mine, theirs in zip(*(s.rates for s in sides), strict=True)]
        figures.append(Figure(measure="throughput", what="ours / plain, same run", values=ratios,
                              goals=at_least(least=1.4)))  # fmt: skip
    return figures + [one for side in sides for one in side.costs]


async def ours(wire: CountedWire, group: str, count: int) -> float:
    """Return the rate of no-op jobs that are submitted as fast as it goes."""
    ids = await jobs.submit(wire, group, [0.0] * count, AT_ONCE)
    await jobs.all_done(wire, [ids[0], *ids[-200:]], 0.05)
    return count / jobs.makespan(await jobs.read(wire, [ids[0], *ids[-200:]]))


async def _plain(place: Place, group: str, count: int) -> float:
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


async def drain(place: Place, wire: CountedWire, count: int) -> list[Figure]:
    """A backlog of no-op jobs for 3 members with 16 slots: rate, refused claims, memory."""
    group, memory = place.new_group("drain"), list[list[int]]()
    ids = await jobs.submit(wire, group, [0.0] * count, AT_ONCE)
    requests = Requests(place, wire)
    with place.with_stewards() as stewards, place.members("ours", group, 3, SLOTS) as members:
        watch = asyncio.create_task(_watch(members, memory))
        await jobs.all_done(wire, ids)
        watch.cancel()
        refused = requests.refused_claims()
        done = await jobs.read(wire, ids)
        rate = count / (max(one.settled for one in done) - min(one.began for one in done))
        steady_rate = await ours(wire, group, max(500, count // 10))
        steward = stewards[0].process.memory_bytes() / 1e6

    def figure(what: str, unit: str, value: float, *goals: Goal) -> Figure:
        return Figure(measure="drain", what=what, unit=unit, values=[value], goals=goals)

    return [
        figure(f"backlog of {count} no-op jobs, 3 x {SLOTS} slots", "a second", rate),
        figure("drain / steady rate", "", rate / steady_rate, *at_least(least=0.9)),
        figure("refused claims", "share", refused, *at_most(worst=0.005)),
        figure("members' memory at the end / after a quarter", "", _growth(memory),
               *at_most(worst=1.1)),
        figure("steward's memory at the end", "MB", steward, *at_most(worst=200)),
    ]  # fmt: skip


def _growth(memory: list[list[int]]) -> float:
    quarter = max(1, len(memory) // 4)
    return max(late / early for early, late in zip(memory[quarter], memory[-1], strict=True))


async def _watch(members: Sequence[Member], memory: list[list[int]]) -> None:
    while True:
        memory.append([one.process.memory_bytes() for one in members])
        await asyncio.sleep(0.5)

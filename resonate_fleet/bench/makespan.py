"""Makespan over the greedy bound: how well the members' slots were used, in which order."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from resonate_fleet.bench import bound, jobs, loads
from resonate_fleet.bench.figures import Figure, Goal, at_most
from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.place import Kind, Member, Place, Requests
from resonate_fleet.contract.journal import MemberReady


@dataclass(frozen=True)
class Load:
    """Jobs for members with one slot each, all submitted at once; costs by seed."""

    what: str
    members: int
    costs: Callable[[int], Sequence[float]]
    goals: tuple[Goal, ...]

    def named(self, *, users_ids: bool) -> str:
        return self.what + (", ids order-0, order-1, ..." if users_ids else "")


EVEN = Load(
    "3 x 1 slot, 24 jobs of 0.1 to 1 s",
    3,
    lambda seed: loads.uniform(seed, 24),
    at_most(median=1.006, worst=1.012),
)
TAILED = Load(
    "10 x 1 slot, 200 Pareto jobs of 0.1 to 3 s",
    10,
    lambda seed: loads.heavy_tailed(seed, 200),
    at_most(median=1.009, worst=1.016),
)


@dataclass(frozen=True)
class Run:
    """Makespan over the bound, the most that a job waited in multiples of its turn, requests."""

    ratio: float
    unfair: float
    requests: float
    refused: float


async def both(
    place: Place, wire: CountedWire, seeds: int, kinds: Sequence[Kind], *, users_ids: bool
) -> list[Figure]:
    """The even load and the heavy-tailed one."""
    figures = []
    for load in (EVEN, TAILED):
        for kind, found in (await runs(place, wire, load, seeds, kinds, users_ids)).items():
            figures += _figures(load.named(users_ids=users_ids), load.goals, kind, found)
    return figures


async def runs(
    place: Place,
    wire: CountedWire,
    load: Load,
    seeds: int,
    kinds: Sequence[Kind],
    users_ids: bool = False,  # noqa: FBT001, FBT002 - a choice of its caller's
) -> dict[Kind, list[Run]]:
    """Run the load on each kind of members in turn."""
    groups = {kind: place.new_group("makespan") for kind in kinds}
    found: dict[Kind, list[Run]] = {kind: [] for kind in kinds}
    with ExitStack() as stack:
        stack.enter_context(place.with_stewards())
        for kind, group in groups.items():
            stack.enter_context(place.members(kind, group, load.members, 1))
        for seed in range(seeds):
            for kind, group in groups.items():
                named = f"{group}-{seed}-order" if users_ids else ""
                found[kind].append(await _run(place, wire, load, seed, (group, named)))
    return found


async def _run(
    place: Place, wire: CountedWire, load: Load, seed: int, where: tuple[str, str]
) -> Run:
    group, named = where
    costs = load.costs(seed)
    least = bound.makespan(costs, load.members)
    requests = Requests(place, wire)
    ids = await jobs.submit(wire, group, costs, named=named)
    await asyncio.sleep(0.9 * least)  # to ask meanwhile would cost the server time
    await jobs.all_done(wire, ids)
    asked, refused = requests.total(), requests.refused_claims()
    done = await jobs.read(wire, ids)
    ratio = jobs.makespan(done) / least
    return Run(ratio, jobs.unfairness(done), asked / len(ids), refused)


def _figures(what: str, goals: tuple[Goal, ...], kind: Kind, found: list[Run]) -> list[Figure]:
    def figure(measure: str, values: list[float], unit: str, *goals: Goal) -> Figure:
        judged = goals if kind == "ours" else ()
        return Figure(
            measure=measure, what=what, worker=kind, unit=unit, values=values, goals=judged
        )

    turns = f"of first come, first served (+ {jobs.SERVES:g} s)"
    figures = [
        figure("makespan / bound", [run.ratio for run in found], "", *goals),
        figure("longest wait", [run.unfair for run in found], turns, *at_most(worst=1.0)),
    ]
    if kind == "plain":  # whose requests on this server are not its own alone
        return figures
    return [
        *figures,
        figure("requests a job", [run.requests for run in found], "", *at_most(worst=3.05)),
        figure("refused claims", [run.refused for run in found], "share", *at_most(worst=0.005)),
    ]


async def changing(place: Place, wire: CountedWire, seeds: int) -> list[Figure]:
    """The even load with a member killed and one added half way; the steward hands over."""
    with place.with_stewards():
        ratios = [await _change(place, wire, seed) for seed in range(seeds)]
    what = "3 x 1 slot, one killed and one added half way, over the bound of the slots there were"
    return [
        Figure(measure="makespan / bound", what=what, values=ratios, goals=at_most(median=1.05))
    ]


async def _change(place: Place, wire: CountedWire, seed: int) -> float:
    group, costs = place.new_group("change"), EVEN.costs(seed)
    with place.members("ours", group, EVEN.members, 1) as members:
        ids = await jobs.submit(wire, group, costs)
        await asyncio.sleep(bound.makespan(costs, EVEN.members) / 2)
        killed, added = members[0].process.strike(), place.start("ours", group, 1)
        members.append(added)
        await asyncio.to_thread(place.wait_ready, added)
        done = await jobs.finish(wire, ids)
        zero = min(one.created for one in done)
        spans = [bound.Span(0.0, killed - zero), bound.Span(), bound.Span()]
        spans.append(bound.Span(_ready_at(added) - zero))
    return jobs.makespan(done) / bound.makespan_of(costs, spans)


def _ready_at(member: Member) -> float:
    return next(line.at for line in member.journal() if isinstance(line, MemberReady))

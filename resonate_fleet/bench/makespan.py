"""Makespan over the greedy bound: how well the members' slots were used."""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from resonate_fleet.bench import bound, jobs, loads
from resonate_fleet.bench.figures import Figure, judged
from resonate_fleet.bench.place import Kind, Member, Place, end
from resonate_fleet.contract.journal import MemberReady
from resonate_fleet.contract.wire import Wire

#: Members of a group and jobs of a run of the even load.
EVEN_MEMBERS, EVEN_JOBS = 3, 24
#: The same of the heavy-tailed load.
TAILED_MEMBERS, TAILED_JOBS = 10, 200


async def even(place: Place, wire: Wire, seeds: int, kinds: Sequence[Kind]) -> list[Figure]:
    """3 members with one slot each, 24 jobs of 0.1 to 1.0 s."""
    what = f"makespan / bound, {EVEN_MEMBERS} x 1 slot, {EVEN_JOBS} jobs of 0.1 to 1 s"
    costs = [loads.uniform(seed, EVEN_JOBS) for seed in range(seeds)]
    runs = await _runs(place, wire, kinds, EVEN_MEMBERS, costs)
    figures = [_figure(what, kind, [one.ratio for one in runs[kind]]) for kind in kinds]
    figures = [_worst_too(one) if one.worker == "ours" else one for one in figures]
    return figures + _fairness(runs, f"{EVEN_MEMBERS} x 1 slot")


async def tailed(place: Place, wire: Wire, seeds: int, kinds: Sequence[Kind]) -> list[Figure]:
    """10 members with one slot each, 200 Pareto jobs of 0.1 to 3 s."""
    what = f"makespan / bound, {TAILED_MEMBERS} x 1 slot, {TAILED_JOBS} Pareto jobs of 0.1 to 3 s"
    costs = [loads.heavy_tailed(seed, TAILED_JOBS) for seed in range(seeds)]
    runs = await _runs(place, wire, kinds, TAILED_MEMBERS, costs)
    figures = [_figure(what, kind, [one.ratio for one in runs[kind]]) for kind in kinds]
    return figures + _fairness(runs, f"{TAILED_MEMBERS} x 1 slot")


@dataclass(frozen=True)
class _Run:
    """Makespan over the bound, and the most that any job waited, in multiples of its turn."""

    ratio: float
    unfair: float


async def _runs(
    place: Place, wire: Wire, kinds: Sequence[Kind], count: int, loads_: Sequence[Sequence[float]]
) -> dict[Kind, list[_Run]]:
    """Run each load on each kind of members in turn."""
    groups = {kind: place.new_group("makespan") for kind in kinds}
    runs: dict[Kind, list[_Run]] = {kind: [] for kind in kinds}
    with place.steward() as steward:
        members = {
            kind: place.members(kind, groups[kind], count, 1, WORKER_STEWARD=steward)
            for kind in kinds
        }
        for costs in loads_:
            for kind in kinds:
                least = bound.makespan(costs, count)
                ids = await jobs.submit(wire, groups[kind], costs)
                await asyncio.sleep(0.9 * least)  # to ask meanwhile would cost the server time
                await jobs.all_done(wire, groups[kind])
                done = await jobs.read(wire, ids)
                runs[kind].append(_Run(jobs.makespan(done) / least, jobs.unfairness(done)))
        for some in members.values():
            end(some)
    return runs


def _fairness(runs: dict[Kind, list[_Run]], shape: str) -> list[Figure]:
    what = f"longest wait / first come, first served (+ {jobs.SERVES:g} s), {shape}"
    figures = [
        Figure(
            measure="fairness", what=what, worker=kind, unit="", values=[one.unfair for one in some]
        )
        for kind, some in runs.items()
    ]
    return [
        judged(one, "worst", 2, max, "at most") if one.worker == "ours" else one for one in figures
    ]


def _figure(what: str, kind: Kind, values: list[float]) -> Figure:
    figure = Figure(measure="makespan", what=what, worker=kind, unit="", values=values)
    if kind == "plain":
        return figure
    return judged(figure, "median", 1.01, statistics.median, "at most")


def _worst_too(figure: Figure) -> Figure:
    worst = judged(figure, "worst", 1.03, max, "at most")
    both = bool(figure.met) and bool(worst.met)
    return judged_as(figure, f"{figure.goal}, {worst.goal}", met=both)


def judged_as(figure: Figure, goal: str, *, met: bool) -> Figure:
    return Figure(
        measure=figure.measure,
        what=figure.what,
        worker=figure.worker,
        unit=figure.unit,
        values=figure.values,
        goal=goal,
        met=met,
    )


async def changing(place: Place, wire: Wire, seeds: int) -> list[Figure]:
    """The even load with a member killed and one added half way; the steward hands over."""
    with place.steward() as steward:
        ratios = [await _change(place, wire, seed, steward) for seed in range(seeds)]
    what = "makespan / bound of the slots that there were, one member killed, one added"
    figure = Figure(measure="makespan", what=what, worker="ours", unit="", values=ratios)
    return [judged(figure, "median", 1.05, statistics.median, "at most")]


async def _change(place: Place, wire: Wire, seed: int, steward: str) -> float:
    group, costs = place.new_group("change"), loads.uniform(seed, EVEN_JOBS)
    members = [place.start("ours", group, 1, WORKER_STEWARD=steward) for _ in range(EVEN_MEMBERS)]
    for member in members:
        place.wait_ready(member)
    half = bound.makespan(costs, EVEN_MEMBERS) / 2
    ids = await jobs.submit(wire, group, costs)
    killed, added = await place.replace(members[0], half, WORKER_STEWARD=steward)
    await jobs.all_done(wire, group)
    done = await jobs.read(wire, ids)
    zero = min(one.created for one in done)
    spans = [bound.Span(0.0, killed - zero), bound.Span(), bound.Span()]
    spans.append(bound.Span(_ready_at(added) - zero))
    end([*members, added])
    return jobs.makespan(done) / bound.makespan_of(costs, spans)


def _ready_at(member: Member) -> float:
    return next(line.at for line in member.journal() if isinstance(line, MemberReady))

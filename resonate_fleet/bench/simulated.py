"""The cases of `bench.simulation` whose outcome has a goal."""

from random import Random

from resonate_fleet.bench import loads
from resonate_fleet.bench.figures import Figure, Goal, at_most
from resonate_fleet.bench.simulation import Case, Outcome, Run


def simulated(seeds: int) -> list[Figure]:
    """Makespans of single slots, and what many members cost one server."""
    even = [_run(3, loads.uniform(seed, 24), seed) for seed in range(seeds)]
    tailed = [_run(10, loads.heavy_tailed(seed, 200), seed) for seed in range(seeds)]
    many = _many(9_000, 0)
    past = _many(9_000, 1_000_000)
    part = _many(50_000, 0)
    no_ops = Run(Case(10, 16, [0.0] * 5000)).outcome()
    return [
        _figure("makespan / bound, 3 x 1", "", even, "ratio", at_most(median=1.006, worst=1.012)),
        _figure(
            "makespan / bound, Pareto 10 x 1", "", tailed, "ratio",
            at_most(median=1.009, worst=1.016),
        ),
        *_server("100 x 4 at 300 jobs/s", many),
        *_server("the same after a million finished", past),
        *_server("2,000 members on 20 servers at 6,000 jobs/s", part),
        _figure("5,000 no-ops, 10 x 16", "s", [no_ops], "makespan", at_most(worst=3.8)),
    ]  # fmt: skip


def _run(members: int, costs: list[float], seed: int) -> Outcome:
    return Run(Case(members, 1, costs, rate=1000, begins=2, seed=seed)).outcome()


def _many(jobs: int, finished: int) -> Outcome:
    random = Random(0)
    costs = [random.uniform(0.5, 1.5) for _ in range(jobs)]
    return Run(Case(100, 4, costs, rate=300, finished=finished)).outcome()


def _server(case: str, found: Outcome) -> list[Figure]:
    return [
        _figure(f"{case}: server busy", "share", [found], "server_busy", at_most(worst=0.35)),
        _figure(f"{case}: refused claims", "share", [found], "refused", at_most(worst=0.005)),
        _figure(f"{case}: requests a job", "", [found], "requests_a_job", at_most(worst=3.05)),
        _figure(f"{case}: start p50", "s", [found], "start_p50", ()),
    ]


def _figure(
    what: str, unit: str, found: list[Outcome], field: str, goals: tuple[Goal, ...]
) -> Figure:
    values = [float(getattr(one, field)) for one in found]
    return Figure(measure="simulated", what=what, unit=unit, values=values, goals=goals)

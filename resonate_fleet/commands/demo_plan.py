"""What the demo is going to do, from its options. Pure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from resonate_fleet.chaos.plan import Script, script
from resonate_fleet.chaos.scenario import FleetSpec, LoadSpec, Scenario, StrikeSpec, When
from resonate_fleet.contract.run import Guarantees
from resonate_fleet.contract.tuning import LEASE_SECONDS
from resonate_fleet.contract.words import DEFAULT_GROUP

#: Costs of the demo's jobs in seconds, at a scale of 1.
COSTS: Final = (0.5, 3.5)
#: A seed whose run shows the story well: the default.
SEED: Final = 7
NAME: Final = "demo"
#: A kill needs so many jobs: some before it and some after.
JOBS_A_KILL: Final = 3


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What was asked for. `server` None: the embedded one is started."""

    workers: int = 3
    jobs: int = 24
    scale: float = 1.0
    seed: int = SEED
    kill: int = 1
    server: str | None = None
    token: str | None = None
    json: Path | None = None
    runs: Path = Path("runs")
    web: bool = False

    @property
    def costs(self) -> tuple[float, float]:
        return (round(COSTS[0] * self.scale, 3), round(COSTS[1] * self.scale, 3))


def wrong(options: DemoOptions) -> str | None:
    """Return why these options cannot be played together, or None."""
    if options.kill >= options.workers:
        most = options.workers - 1
        return f"--kill is {options.kill}; accepted: 0 to {most}, for somebody must go on working"
    if options.kill * JOBS_A_KILL > options.jobs:
        most = options.jobs // JOBS_A_KILL
        return f"--kill is {options.kill}; accepted: 0 to {most} with {options.jobs} jobs"
    return None


def group_for(options: DemoOptions, tag: str) -> str:
    """On a server that others use too the demo keeps to a group of its own."""
    return f"{NAME}{tag}" if options.server else DEFAULT_GROUP


def plan(options: DemoOptions, tag: str) -> Script:
    """Return plan, strikes and the client's options. `tag` keeps its ids apart from others'."""
    made = script(_scenario(options), options.seed, "processes", tag)
    group = group_for(options, tag)
    jobs = [msgspec.structs.replace(job, group=group) for job in made.plan.jobs]
    return msgspec.structs.replace(
        made,
        plan=msgspec.structs.replace(made.plan, jobs=jobs),
        client=[*made.client, f"--group={group}"],
    )


def _scenario(options: DemoOptions) -> Scenario:
    work = options.jobs * options.costs[1]
    return Scenario(
        name=NAME,
        about="Work spreads, a worker is killed in the middle of a job, nothing is lost.",
        deadline=60 + 2 * work,
        fleet=FleetSpec(members=options.workers, slots=1, lease=LEASE_SECONDS),
        load=LoadSpec(count=options.jobs, cost=options.costs),
        strikes=[
            StrikeSpec(fault="kill", when=When(done=share)) for share in _shares(options.kill)
        ],
        guarantees=Guarantees(
            redone=options.kill, every_member_works=options.jobs >= 4 * options.workers
        ),
    )


def _shares(kills: int) -> list[float]:
    """The shares of jobs done at which a worker dies: spread over the run, the last not too late.

    >>> _shares(1)
    [0.333]
    """
    return [round(number / (kills + 2), 3) for number in range(1, kills + 1)]

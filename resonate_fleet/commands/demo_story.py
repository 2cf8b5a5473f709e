"""The demo's plan, and what the demo prints before and after it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from resonate_fleet.chaos.plan import Script, script
from resonate_fleet.chaos.scenario import FleetSpec, LoadSpec, Scenario, StrikeSpec, When
from resonate_fleet.contract.paths import write
from resonate_fleet.contract.run import Guarantees, RunFolder
from resonate_fleet.contract.screen import plain
from resonate_fleet.contract.shown import natural
from resonate_fleet.contract.tuning import LEASE_SECONDS
from resonate_fleet.contract.words import DEFAULT_GROUP
from resonate_fleet.report.__main__ import judged
from resonate_fleet.report.facts import Facts, Recovery
from resonate_fleet.report.verdict import Verdict, counted

STYLES: Final = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}
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
    # Deaths are spread over the run, the last not too late.
    shares = [round(number / (options.kill + 2), 3) for number in range(1, options.kill + 1)]
    scenario = Scenario(
        name=NAME,
        about="Work spreads, a worker is killed in the middle of a job, nothing is lost.",
        deadline=60 + 2 * options.jobs * options.costs[1],
        fleet=FleetSpec(members=options.workers, slots=1, lease=LEASE_SECONDS),
        load=LoadSpec(count=options.jobs, cost=options.costs),
        strikes=[StrikeSpec(fault="kill", when=When(done=share)) for share in shares],
        guarantees=Guarantees(
            redone=options.kill, every_member_works=options.jobs >= 4 * options.workers
        ),
    )
    made = script(scenario, options.seed, "processes", tag)
    group = group_for(options, tag)
    jobs = [msgspec.structs.replace(job, group=group) for job in made.plan.jobs]
    return msgspec.structs.replace(
        made,
        plan=msgspec.structs.replace(made.plan, jobs=jobs),
        client=[*made.client, f"--group={group}"],
    )


def opening(options: DemoOptions, script: Script) -> str:
    """Return what is going to happen, in a few words."""
    low, high = options.costs
    server = options.server or "an embedded server"
    jobs, workers = counted(options.jobs, "job"), counted(options.workers, "worker")
    load = f"{jobs} of {low:g} to {high:g} s, seed {options.seed}"
    text = f"{load}; {workers} of one slot on {server}"
    strikes = [f"{one.trigger}, a busy worker is killed" for one in script.plan.strikes]
    return "\n".join([text, *strikes])


def closing(options: DemoOptions, folder: RunFolder, console: Console) -> int:
    """Judge the run, print the table and the judgement; return the exit code of the verdict."""
    facts, verdict = judged(folder)
    if options.json is not None:
        write(options.json, folder.verdict.read_bytes())
    console.print()
    console.print(_members(facts, verdict))
    console.print()
    for line in _sentences(facts, verdict):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"the whole story: {folder.report}", highlight=False, soft_wrap=True)
    return verdict.exit


def _members(facts: Facts, verdict: Verdict) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("worker")
    for column in ("jobs", "share", "busy", "alive"):
        table.add_column(column, justify="right")
    table.add_column("")
    for share in sorted(verdict.figures.shares, key=lambda one: natural(one.member)):
        table.add_row(
            share.member,
            str(share.results),
            f"{share.share:.0%}",
            f"{share.busy_seconds:.1f} s",
            f"{share.alive_seconds:.1f} s",
            "killed" if facts.strikes_on(share.member) else "",
        )
    return table


def _sentences(facts: Facts, verdict: Verdict) -> Iterator[Text]:
    figures = verdict.figures
    if figures.bound is None or figures.makespan_over_bound is None:
        yield Text(f"all done in {figures.makespan:.1f} s")
    else:
        yield Text(
            f"all done in {figures.makespan:.2f} s; in the same order without any overhead it "
            f"takes {figures.bound:.2f} s: {figures.makespan_over_bound:.2f} times that"
        )
    for one in facts.recoveries:
        if one.strike is not None:
            yield plain(_recovered(one))
    for finding in verdict.findings[:10]:
        yield plain(f"{finding.name}: {finding.says}", "bold red")
    judgement = (
        f"{verdict.verdict}: {figures.jobs_done} of {figures.jobs_planned} jobs ended with their "
        f"result, {figures.lost} lost, {figures.doubled} doubled, {figures.redone_jobs} done again"
    )
    yield Text(judgement, style=STYLES[verdict.verdict])


def _recovered(one: Recovery) -> str:
    cut_off = f"{one.attempt.job} was cut off on {one.attempt.member}"
    if one.follower is None or one.seconds is None:
        return f"{cut_off} and never taken up again"
    free = ""
    if one.free is not None:
        free = f"; its lease was released {one.free - one.at:.2f} s after the death"
    return f"{cut_off} and ran again on {one.follower.member} after {one.seconds:.2f} s{free}"

"""What the demo says before and after: the plan in a sentence, then the table and the judgement."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from resonate_fleet.chaos.plan import Script
from resonate_fleet.commands.demo_plan import DemoOptions
from resonate_fleet.commands.tables import plain
from resonate_fleet.contract.options import write
from resonate_fleet.contract.run import RunFolder
from resonate_fleet.contract.shown import natural
from resonate_fleet.report.__main__ import judged
from resonate_fleet.report.facts import Facts
from resonate_fleet.report.figures import Share
from resonate_fleet.report.recoveries import Recovery, recoveries
from resonate_fleet.report.verdict import Verdict, counted

STYLES = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}


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
        table.add_row(*_row(share), "killed" if facts.strikes_on(share.member) else "")
    return table


def _row(share: Share) -> list[str]:
    return [
        share.member,
        str(share.results),
        f"{share.share:.0%}",
        f"{share.busy_seconds:.1f} s",
        f"{share.alive_seconds:.1f} s",
    ]


def _sentences(facts: Facts, verdict: Verdict) -> list[Text]:
    figures = verdict.figures
    lines = [Text(_makespan(verdict))]
    lines += [plain(_recovered(one)) for one in recoveries(facts) if one.strike is not None]
    lines += [plain(f"{one.name}: {one.says}", "bold red") for one in verdict.findings[:10]]
    judgement = (
        f"{verdict.verdict}: {figures.jobs_done} of {figures.jobs_planned} jobs ended with their "
        f"result, {figures.lost} lost, {figures.doubled} doubled, {figures.redone_jobs} done again"
    )
    return [*lines, Text(judgement, style=STYLES[verdict.verdict])]


def _makespan(verdict: Verdict) -> str:
    figures = verdict.figures
    if figures.bound is None or figures.makespan_over_bound is None:
        return f"all done in {figures.makespan:.1f} s"
    return (
        f"all done in {figures.makespan:.2f} s; in the same order without any overhead it takes "
        f"{figures.bound:.2f} s: {figures.makespan_over_bound:.2f} times that"
    )


def _recovered(one: Recovery) -> str:
    cut_off = f"{one.attempt.job} was cut off on {one.attempt.member}"
    if one.follower is None or one.seconds is None:
        return f"{cut_off} and never taken up again"
    free = ""
    if one.free is not None:
        free = f"; its lease was released {one.free - one.at:.2f} s after the death"
    return f"{cut_off} and ran again on {one.follower.member} after {one.seconds:.2f} s{free}"

"""Repeats a run: strikes the same jobs at the same points, and lists what differs."""

from pathlib import Path
from typing import Final

import msgspec

from resonate_fleet.chaos import scenario as scenarios
from resonate_fleet.chaos.plan import Script, script
from resonate_fleet.chaos.scenario import Scenario, StrikeOrder, When
from resonate_fleet.contract.journal import StrikeDone, read_folder
from resonate_fleet.contract.run import Plan, RunFolder
from resonate_fleet.contract.settings import Mistake

#: Copy of the scenario in a run folder.
SCENARIO_FILE: Final = "scenario.toml"


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run as its folder holds it."""

    scenario: Scenario
    plan: Plan
    strikes: list[StrikeDone]


def load(root: Path) -> Recorded:
    """Read an earlier run's folder.

    Raises:
        Mistake: something that a replay needs is not there.
    """
    folder = RunFolder(root)
    try:
        plan = msgspec.json.decode(folder.plan.read_bytes(), type=Plan)
        text = (root / SCENARIO_FILE).read_text(encoding="utf-8")
    except (OSError, msgspec.DecodeError) as error:
        raise Mistake(f"{root} is not the folder of a chaos run: {error}") from None
    scenario = scenarios.parse(text, f"{plan.scenario}.toml")
    return Recorded(scenario=scenario, plan=plan, strikes=strikes(folder))


def strikes(folder: RunFolder) -> list[StrikeDone]:
    """Return the strikes that a run's journal says were done, in the plan's order."""
    found = [line for line in read_folder(folder.journal) if isinstance(line, StrikeDone)]
    return sorted(found, key=lambda line: line.strike)


def again(recorded: Recorded, tag: str = "") -> Script:
    """Return the script of a replay: the same load, each strike where the record has it.

    A strike that was missed then is not in the record and is not done now.
    """
    plan = recorded.plan
    fresh = script(recorded.scenario, plan.seed, plan.place, tag)
    planned = {order.strike: order for order in fresh.orders}
    orders = [
        _where_it_was(planned[line.strike], line, recorded.plan, fresh.plan)
        for line in recorded.strikes
        if line.strike in planned
    ]
    return msgspec.structs.replace(fresh, orders=orders)


def _where_it_was(order: StrikeOrder, line: StrikeDone, then: Plan, now: Plan) -> StrikeOrder:
    if not line.job:
        share = min(line.done / len(then.jobs), 1.0)
        return msgspec.structs.replace(order, when=When(done=share))
    number = next((at for at, job in enumerate(then.jobs, 1) if job.id == line.job), 1)
    attempt = next((version for task, version in line.held if task == line.job), 1)
    when = When(job=number, part=min(line.part, 0.95))
    job = now.jobs[number - 1].id
    return msgspec.structs.replace(order, when=when, job=job, attempt=attempt)


def differences(then: list[StrikeDone], now: list[StrikeDone]) -> list[str]:
    """Return a line for each strike whose victim held other jobs than it did then.

    Members are interchangeable and get new names in every run, so a victim is known by what it
    held; jobs are known by their numbers, which no tag changes.
    """
    old, new = ({line.strike: _words(line) for line in lines} for lines in (then, now))
    return [
        f"strike {number}: {old.get(number, 'not done')} then, {new.get(number, 'not done')} now"
        for number in sorted(old.keys() | new.keys())
        if old.get(number) != new.get(number)
    ]


def _words(line: StrikeDone) -> str:
    """The fault, and number and attempt of each job that its victim held."""
    found = ((int(x.partition(":")[0].rpartition("-")[2]), attempt) for x, attempt in line.held)
    held = sorted(found) if line.job else ()
    jobs = ", ".join(f"job {number} (attempt {attempt})" for number, attempt in held)
    return f"{line.fault} on the holder of {jobs}" if jobs else line.fault

"""Scenario files: what they may say, and what each part means when read."""

import math
import re
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from resonate_fleet.contract.checking import Checker, fields_of, text_of, value
from resonate_fleet.contract.faults import AT_A_MEMBER, AT_THE_STEWARD, FAULTS, Fault
from resonate_fleet.contract.run import Guarantees
from resonate_fleet.contract.settings import Mistake, choice, filled, flag, integer, number
from resonate_fleet.contract.words import (
    COMPUTE_DURABLY,
    COMPUTE_IN_STEPS,
    COMPUTE_ON_LOOP,
    COMPUTE_SOMETHING,
)

FUNCTIONS: Final = (COMPUTE_SOMETHING, COMPUTE_DURABLY, COMPUTE_IN_STEPS, COMPUTE_ON_LOOP)
#: What a strike has beside fault and trigger, and whether those faults that take it need it.
BELONGS: Final = {"leases": True, "to": True, "seconds": False}
SHIPPED: Final = Path(__file__).parent / "scenarios"


KeyName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}$")]
_KEYS = value(
    dict[KeyName, Annotated[int, msgspec.Meta(ge=1)]],
    "a number of jobs for each key, which make load.count together",
)
_Cost = Annotated[float, msgspec.Meta(ge=0, le=3600)]
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_COSTS = value(tuple[_Cost, _Cost], "two numbers from 0 to 3600, as in [0.3, 1.0]")
_JOB = value(int | str, "a job's number from 1, or 'any' (drawn from the seed)")
_WHEN = value(dict, "a table such as { job = 7, part = 0.5 }")


class FleetSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The fleet that the scenario wants. `lease` in seconds."""

    members: Annotated[int, integer(1, 100)] = 3
    slots: Annotated[int, integer(1, 64)] = 1
    lease: Annotated[float, number(0.5, 3600)] = 60.0
    steward: Annotated[bool, flag()] = True
    stewards: Annotated[int, integer(1, 5)] = 1


class LoadSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`count` jobs at `rate` a second (0: all at once), each of a cost drawn from the seed.

    `keys`: how many have which key, in blocks in this order. Stewards get a policy by which keys
    take turns.
    """

    count: Annotated[int, integer(1, 100_000)]
    function: Annotated[str, choice(*FUNCTIONS)] = COMPUTE_SOMETHING
    cost: Annotated[tuple[float, float], _COSTS] = (0.3, 1.0)
    rate: Annotated[float, number(0, 10_000)] = 0.0
    steps: Annotated[int, integer(0, 1000)] = 0
    keys: Annotated[dict[str, int], _KEYS] = {}


class When(msgspec.Struct, frozen=True, kw_only=True):
    """When a strike is due: by a job's progress, by jobs done, or by time. One of them is set.

    `job` with `part`: when that job (from 1; 0: drawn from the seed) is that far, in each of its
    first `attempts` attempts. `done`: when that share of all jobs has ended. `every` seconds,
    `times` times. `after` that many seconds, once.
    """

    job: Annotated[int | None, _JOB] = None
    part: Annotated[float, number(0, 0.95)] = 0.5
    attempts: Annotated[int, integer(1, 20)] = 1
    done: Annotated[float | None, number(0, 0.99)] = None
    every: Annotated[float | None, number(0.1, 3600)] = None
    times: Annotated[int, integer(1, 1000)] = 1
    after: Annotated[float | None, number(0, 3600)] = None


class StrikeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of strike. `leases`: how long it lasts. `to`: how many members a scaling leaves.

    `seconds`: how long the server stays away before it is started again, or how long a scaling
    stands before the fleet is as large again as it began.
    """

    fault: Annotated[Fault, choice(*FAULTS)]
    when: Annotated[When, _WHEN]
    leases: Annotated[float | None, number(0.1, 100)] = None
    to: Annotated[int | None, integer(0, 100)] = None
    seconds: Annotated[float | None, number(0.1, 3600)] = None


class StrikeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A strike of a plan in full: `strike` is its number, `when` its trigger with nothing open.

    `job` is the id behind `when.job`. `seconds`: how long the fault lasts, 0 if it is over at once.
    `to`: how many members a scaling leaves; `back`: how many there are after its `seconds`.
    `draw`, 0 to 1, picks among candidates where the trigger names none.
    """

    strike: int
    fault: Fault
    when: When
    job: str = ""
    attempt: int = 0
    seconds: float = 0.0
    to: int = 0
    back: int = 0
    draw: float = 0.0


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario as read. `deadline`: seconds after which a run of it is given up."""

    name: str
    about: Annotated[str, filled("a sentence")]
    deadline: Annotated[float, number(1, 3600)] = 120.0
    fleet: FleetSpec
    load: LoadSpec
    strikes: list[StrikeSpec]
    guarantees: Guarantees


def shipped() -> list[str]:
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def find(name: str) -> Path:
    """Return the file of a shipped scenario or the file that `name` is the path of.

    Raises:
        Mistake: there is neither.
    """
    for path in (Path(name), SHIPPED / f"{name}.toml"):
        if path.suffix == ".toml" and path.is_file():
            return path
    raise Mistake(f"{name}: no such scenario; accepted: a file, {', '.join(shipped())}")


def read(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        Mistake: with a line for every mistake in it.
    """
    return parse(text_of(path), path.name)


def parse(toml: str, file: str) -> Scenario:
    """Read a scenario from its text; `file` names it, in messages and as the scenario's name.

    Raises:
        Mistake: with a line for every mistake in it.
    """
    checker = Checker(toml, file)
    tables = ("fleet", "load", "guarantees", "strikes")
    top = {key: value for key, value in checker.raw.items() if key not in tables}
    values: dict[str, Any] = checker.table(top, (), fields_of(Scenario), others=tables)
    for name, kind in (("fleet", FleetSpec), ("load", LoadSpec), ("guarantees", Guarantees)):
        values[name] = checker.table(checker.raw.get(name, {}), (name,), fields_of(kind))
    load, strikes = values["load"], checker.raw.get("strikes", [])
    if not isinstance(strikes, list):
        checker.refuse(("strikes",), strikes, "tables under [[strikes]]")
        strikes = []
    values["strikes"] = [
        _strike(one, ("strikes", at), checker, load.get("count")) for at, one in enumerate(strikes)
    ]
    if (cost := load.get("cost")) and cost[0] > cost[1]:
        checker.refuse(("load", "cost"), list(cost), "the lower first, then the higher")
    keys = load.get("keys")
    if keys and sum(keys.values()) != load.get("count"):
        checker.refuse(("load", "keys"), keys, _KEYS.accepts)
    checker.finish()
    scenario = msgspec.convert({"name": Path(file).stem, **values}, Scenario)
    if not _NAME.fullmatch(scenario.name):  # its jobs' ids begin with it
        raise Mistake(f"{file}: accepted: a name of letters, digits, - and _")
    _refuse_impossible(scenario, checker)
    checker.finish()
    return scenario


def _refuse_impossible(scenario: Scenario, checker: Checker) -> None:
    """Refuse strikes at nobody, and strikes and work that the deadline leaves no time for.

    Durable sleeps fill no slot, so that any number of them goes on at a time.
    """
    fleet, load, deadline = scenario.fleet, scenario.load, scenario.deadline
    for at, strike in enumerate(scenario.strikes):
        path, when = ("strikes", at), strike.when
        if strike.fault in AT_THE_STEWARD and not fleet.steward:
            checker.refuse((*path, "fault"), strike.fault, "nothing at a steward where none is up")
        begins = when.after or (when.every or 0) * when.times
        ends = begins + (strike.seconds or (strike.leases or 0) * fleet.lease)
        if ends >= deadline:
            before = f"what is over before the deadline ({deadline:g} s)"
            checker.refuse((*path, "when"), f"over at {ends:g} s", before)
    slots = fleet.slots * max(fleet.members, *(one.to or 0 for one in scenario.strikes), 1)
    sent = (load.count - 1) / load.rate if load.rate else 0.0
    work = 0.0 if load.function == COMPUTE_DURABLY else load.count * load.cost[0] / slots
    if (needed := max(sent + load.cost[0], work)) > deadline:
        checker.refuse(
            ("deadline",), deadline, f"at least the {math.ceil(needed)} s that the load takes"
        )


def _strike(
    raw: Any, path: tuple[str | int, ...], checker: Checker, count: int | None
) -> dict[str, Any]:
    strike = checker.table(raw, path, fields_of(StrikeSpec))
    if "fault" in strike:
        _belongs(strike, path, checker)
    if "when" in strike:
        at = (*path, "when")
        given = strike["when"]
        when = strike["when"] = checker.table(given, at, fields_of(When))
        _when_is_one(given, strike.get("fault"), at, checker)
        _job_is_known(when, count, at, checker)
    return strike


def _belongs(strike: dict[str, Any], path: tuple[str | int, ...], checker: Checker) -> None:
    """A strike has what its fault takes, and nothing else."""
    fault: Fault = strike["fault"]
    for key, needed in BELONGS.items():
        takers = [name for name, one in FAULTS.items() if key in one.takes]
        if needed and fault in takers and key not in strike:
            checker.miss((*path, key), f"a number: {fault} needs it")
        if fault not in takers and key in strike:
            allowed = f"nothing with {fault}; only {', '.join(takers)}"
            checker.refuse((*path, key), strike[key], allowed)


def _when_is_one(
    when: dict[str, Any], fault: str | None, path: tuple[str | int, ...], checker: Checker
) -> None:
    """Exactly one of the four triggers, and only what belongs to it beside it."""
    kinds = [key for key in ("job", "done", "every", "after") if key in when]
    forms = "{ job, part, attempts }, { done }, { every, times } or { after }"
    if len(kinds) != 1:
        checker.refuse(path, when, f"one trigger: {forms}")
        return
    beside = {"job": {"part", "attempts"}, "every": {"times"}}.get(kinds[0], set())
    for key in sorted(set(when) - {kinds[0]} - beside):
        checker.refuse((*path, key), when[key], f"nothing beside {kinds[0]}: {forms}")
    if kinds[0] == "job" and fault is not None and fault not in AT_A_MEMBER:
        checker.refuse(path, when, f"{{ done }}, {{ every }} or {{ after }} for {fault}")


def _job_is_known(
    when: dict[str, Any], count: int | None, path: tuple[str | int, ...], checker: Checker
) -> None:
    if "job" not in when:
        return
    if when["job"] == "any":
        when["job"] = 0
    elif not isinstance(when["job"], int) or not 1 <= when["job"] <= (count or when["job"]):
        allowed = f"a number from 1 to load.count{f' ({count})' if count else ''}, or 'any'"
        checker.refuse((*path, "job"), when["job"], allowed)

"""The policy file: who goes first in a group, and how much of what may run at once.

    [groups.worker-group]
    ageing = 60                          # seconds of waiting that make up for one step of priority
    alone = "wait"                       # what members do while no steward is there: wait, work

    [groups.worker-group.each-key]       # every key that has no table of its own
    running = 10

    [groups.worker-group.keys.acme]
    weight = 3
    running = 2
    rate = "10/s"
    burst = 20

    [groups.worker-group.functions.charge_card]
    running = 5

A job's tags give its attributes: `fleet:priority` (1 to 5, 1 first), `fleet:key` and
`fleet:not-before` (Unix seconds).
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from resonate_fleet.contract.checking import Checker, Field, between, one_of, whole
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.toml_lines import locate
from resonate_fleet.contract.words import TAG_KEY, TAG_NOT_BEFORE, TAG_PRIORITY

PRIORITIES: Final = range(1, 6)
USUAL_PRIORITY: Final = 3
_PRIORITY: Final = {str(priority): priority for priority in PRIORITIES}
_PER: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE: Final = re.compile(r"^(?![0.]+/)(\d{1,9}(?:\.\d{1,9})?)/([smh])$")


class Attributes(msgspec.Struct, frozen=True):
    """What a policy goes by. `not_before` in Unix seconds."""

    priority: int = USUAL_PRIORITY
    key: str = ""
    function: str = ""
    not_before: float = 0.0


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """The limit of a key or a function. `rate`: starts a second; `burst`: starts at once."""

    weight: float = 1.0
    running: int | None = None
    rate: float | None = None
    burst: int = 1


class GroupPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The policy of one group. `ageing` in seconds, for one step of priority."""

    ageing: float = 60.0
    alone: Literal["wait", "work"] = "work"
    each_key: Limit = Limit()
    keys: dict[str, Limit] = {}
    functions: dict[str, Limit] = {}

    def of_key(self, key: str) -> Limit:
        """Return the limit of a key; jobs without one share the key ""."""
        return self.keys.get(key, self.each_key)


class BadPolicy(Mistake):
    """A policy file was refused: one line for each mistake in it."""


#: The latest not-before: the end of the year 9999, Unix seconds.
NEVER = 253_402_300_800.0


def attributes_of(tags: Mapping[str, str], function: str) -> Attributes:
    """Return the attributes of a job with these tags. Unreadable tags count as not given."""
    priority = tags.get(TAG_PRIORITY, "")
    try:
        not_before = float(tags.get(TAG_NOT_BEFORE, "0"))
    except ValueError:
        not_before = 0.0
    return Attributes(
        priority=_PRIORITY.get(priority, USUAL_PRIORITY),
        key=tags.get(TAG_KEY, ""),
        function=function,
        not_before=min(not_before, NEVER) if 0 <= not_before < float("inf") else 0.0,
    )


_rate = Annotated[str, msgspec.Meta(pattern=_RATE.pattern)]
_limits = (
    Field("running", *whole(1, 1_000_000)),
    Field("rate", _rate, "starts in a time, such as 10/s, 600/m or 50/h"),
    Field("burst", *whole(1, 1_000_000)),
)
_key = (Field("weight", *between(0.001, 1000)), *_limits)
_group = (Field("ageing", *between(0.001, 86_400)), Field("alone", *one_of(("wait", "work"))))
_tables = ("each-key", "keys", "functions")


def read(path: Path) -> dict[str, GroupPolicy]:
    """Return the policies by group.

    Raises:
        BadPolicy: with a line for every mistake in the file.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadPolicy(f"{path}: {error}; accepted: a TOML file that can be read") from None


def parse(toml: str, file: str) -> dict[str, GroupPolicy]:
    """Read policies from their text; `file` names it in messages.

    Raises:
        BadPolicy: with a line for every mistake in it.
    """
    try:
        raw = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy(f"{file}: {error}") from None
    checker = Checker(file, locate(toml))
    checker.table(raw, (), (), others=("groups",))
    found = {name: _policy(one, name, checker) for name, one in _inside(raw, "groups", (), checker)}
    if checker.wrong:
        raise BadPolicy(*checker.lines())
    return found


def _policy(raw: Any, name: str, checker: Checker) -> GroupPolicy:
    at = ("groups", name)
    values = checker.table(raw, at, _group, others=_tables)
    if not isinstance(raw, dict):
        return GroupPolicy()
    each = checker.table(raw.get("each-key", {}), (*at, "each-key"), _key)
    return GroupPolicy(
        **values,
        each_key=_limit(each),
        keys=_limits_of(raw, "keys", at, _key, checker),
        functions=_limits_of(raw, "functions", at, _limits, checker),
    )


def _limits_of(
    raw: dict[str, Any], what: str, at: tuple[str, ...], fields: tuple[Field, ...], checker: Checker
) -> dict[str, Limit]:
    return {
        name: _limit(checker.table(one, (*at, what, name), fields))
        for name, one in _inside(raw, what, at, checker)
    }


def _inside(
    raw: dict[str, Any], what: str, at: tuple[str, ...], checker: Checker
) -> list[tuple[str, Any]]:
    found = raw.get(what, {})
    if isinstance(found, dict):
        return list(found.items())
    checker.refuse((*at, what), found, "a table")
    return []


def _limit(values: dict[str, Any]) -> Limit:
    if "rate" in values:
        number, per = _RATE.match(values["rate"]).groups()  # type: ignore[union-attr] # it was checked
        values = {**values, "rate": float(number) / _PER[per]}
    return Limit(**values)

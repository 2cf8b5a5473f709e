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
`fleet:not-before` (Unix seconds or ISO 8601).
"""

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from resonate_fleet.contract.checking import Checker, Field, value
from resonate_fleet.contract.settings import choice, integer, name, number
from resonate_fleet.contract.words import TAG_KEY, TAG_NOT_BEFORE, TAG_PRIORITY

USUAL_PRIORITY: Final = 3
_PRIORITY: Final = {str(priority): priority for priority in range(1, 6)}
_PER: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE: Final = re.compile(r"^(?![0.]+/)([0-9]{1,9}(?:\.[0-9]{1,9})?)/([smh])\Z")
#: A function with a version: jobs of all versions count for one limit.
_VERSION: Final = re.compile(r"@[0-9]+\Z")


class Attributes(msgspec.Struct, frozen=True):
    """What a policy goes by. `not_before` in Unix seconds."""

    priority: int = USUAL_PRIORITY
    key: str = ""
    function: str = ""
    not_before: float = 0.0


#: Those of a job that gives none.
NO_ATTRIBUTES: Final = Attributes()


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """The limit of a key or a function. `rate`: starts a second; `burst`: starts at once."""

    weight: float = 1.0
    running: int | None = None
    rate: float | None = None
    burst: int = 1


class GroupPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The policy of one group. `ageing` in seconds, for one step of priority.

    `alone`: what its members do while no steward is there.
    """

    ageing: float = 60.0
    alone: Literal["wait", "work"] = "work"
    each_key: Limit = Limit()
    keys: dict[str, Limit] = {}
    functions: dict[str, Limit] = {}

    def of_key(self, key: str) -> Limit:
        """Return the limit of a key; jobs without one share the key ""."""
        return self.keys.get(key, self.each_key)


#: The latest not-before: the end of the year 9999, Unix seconds.
NEVER = 253_402_300_800.0
_UNIX: Final = number(0, sys.float_info.max)


def attributes_of(tags: Mapping[str, str], function: str) -> Attributes:
    """Return the attributes of a job with these tags. Unreadable tags count as not given."""
    return Attributes(
        priority=_PRIORITY.get(tags.get(TAG_PRIORITY, ""), USUAL_PRIORITY),
        key=tags.get(TAG_KEY, ""),
        function=function,
        not_before=_time(tags.get(TAG_NOT_BEFORE, "")) or 0.0,
    )


def _time(raw: str) -> float | None:
    """Return a time as Unix seconds, given as such or in ISO 8601 (UTC where it has no zone).

    Eight digits are a date. As seconds they would be of the seventies.
    """
    try:
        at = _seconds(raw)
    except ValueError:
        return None
    return min(at, NEVER) if at >= 0 else None


def _seconds(raw: str) -> float:
    if len(raw) != len("20271231") or not raw.isdecimal():
        with suppress(ValueError):
            return _UNIX.read(raw)
    at = datetime.fromisoformat(raw)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def notes(tags: Mapping[str, str], timeout: float, *, has_policy: bool) -> list[str]:
    """Return what the submitter of a job may not know of its tags. `timeout`: Unix seconds."""
    given = [tag for tag in (TAG_PRIORITY, TAG_KEY, TAG_NOT_BEFORE) if tag in tags]
    if given and not has_policy:
        return [f"its group has no policy, so that these do not count: {', '.join(given)}"]
    found = []
    if tags.get(TAG_PRIORITY, "3") not in _PRIORITY:
        found.append(f"{TAG_PRIORITY} counts as not given; accepted: 1 to 5")
    at = _time(tags.get(TAG_NOT_BEFORE, "0"))
    if at is None:
        found.append(f"{TAG_NOT_BEFORE} counts as not given; accepted: Unix seconds, ISO 8601")
    elif at >= timeout:
        found.append("it times out before its time comes")
    return found


_rate = value(
    Annotated[str, msgspec.Meta(pattern=_RATE.pattern)],
    "starts in a time, such as 10/s, 600/m or 50/h",
)
_limits = (
    Field("running", integer(1, 1_000_000)),
    Field("rate", _rate),
    Field("burst", integer(1, 1_000_000)),
)
_key = (Field("weight", number(0.001, 1000)), *_limits)
_GROUP: Final = name("group")
_group = (Field("ageing", number(0.001, 86_400)), Field("alone", choice("wait", "work")))


def parse(toml: str, file: str) -> dict[str, GroupPolicy]:
    """Return the policies by group, from their text; `file` names it in messages.

    Raises:
        Mistake: with a line for every mistake in it.
    """
    checker = Checker(toml, file)
    checker.table(checker.raw, (), (), others=("groups",))
    groups = _inside(checker.raw, "groups", (), checker)
    found = {name: _policy(one, name, checker) for name, one in groups}
    checker.finish()
    return found


def _policy(raw: Any, group: str, checker: Checker) -> GroupPolicy:
    at = ("groups", group)
    try:
        _GROUP.read(group)
    except ValueError:
        checker.refuse(at, group, _GROUP.accepts)
    values = checker.table(raw, at, _group, others=("each-key", "keys", "functions"))
    if not isinstance(raw, dict):
        return GroupPolicy()

    def limits(what: str, fields: tuple[Field, ...]) -> dict[str, Limit]:
        found = _inside(raw, what, at, checker)
        return {name: _limit(one, (*at, what, name), fields, checker) for name, one in found}

    each_key = _limit(raw.get("each-key", {}), (*at, "each-key"), _key, checker)
    keys, functions = limits("keys", _key), limits("functions", _limits)
    return GroupPolicy(**values, each_key=each_key, keys=keys, functions=functions)


def _inside(
    raw: dict[str, Any], what: str, at: tuple[str, ...], checker: Checker
) -> list[tuple[str, Any]]:
    found = raw.get(what, {})
    if isinstance(found, dict):
        return list(found.items())
    checker.refuse((*at, what), found, "a table")
    return []


def _limit(raw: Any, at: tuple[str, ...], fields: tuple[Field, ...], checker: Checker) -> Limit:
    values = checker.table(raw, at, fields)
    if "burst" in values and "rate" not in raw:
        checker.refuse((*at, "burst"), values["burst"], "a burst only beside a rate")
    if at[2] == "functions" and _VERSION.search(at[-1]):
        checker.refuse(at, at[-1], "a function's name; a limit counts all its versions")
    if "rate" in values:
        number, per = _RATE.match(values["rate"]).groups()  # type: ignore[union-attr] # it was checked
        values["rate"] = float(number) / _PER[per]
    return Limit(**values)

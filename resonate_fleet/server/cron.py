"""Cron expressions as server v0.9.8 reads them: its library's grammar (cron 0.12), in UTC.

Six or seven fields: second, minute, hour, day of month, month, day of week (1 to 7, Sunday is 1)
and, if given, year (1970 to 2100); five fields run at second 0. Both days must fit. Fields hold
`*`, numbers, ranges, lists, steps, names of months and days; `?` is `*` in the fields of days.
Or one of `@yearly`, `@monthly`, `@weekly`, `@daily`, `@hourly`.
"""

import calendar
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import takewhile
from types import MappingProxyType
from typing import Final, NamedTuple

#: What a user may write, in one line.
ACCEPTED: Final = (
    "five fields (minute hour day month weekday), a sixth before them for seconds and a seventh "
    "after them for years, weekdays 1 (Sunday) to 7 or names; or @hourly, @daily, @weekly, "
    "@monthly, @yearly"
)
#: The largest number that the library reads.
_LARGEST: Final = 2**32 - 1
#: Milliseconds until the server tries again where an expression has no time left.
_NO_TIME_LEFT: Final = 60_000

# Possessive, as the library's parser: what was read is not read in another way later.
_NUMBER: Final = r"[ \t\r\n]*+[0-9]++[ \t\r\n]*+"
_NAME: Final = r"[ \t\r\n]*+[A-Za-z]++[ \t\r\n]*+"
_RANGE: Final = rf"(?>{{any}}|{_NUMBER}-{_NUMBER}|{_NUMBER}|{_NAME}-{_NAME})"
_PART: Final = rf"(?>{_RANGE}/{_NUMBER}|{_RANGE}|{_NAME})"
_FIELD: Final = rf"[ \t\r\n]*+((?>{_PART}(?:,{_PART})*+))[ \t\r\n]*+"
_PLAIN: Final = re.compile(_FIELD.replace("{any}", r"\*"))
_DAYS: Final = re.compile(_FIELD.replace("{any}", r"[*?]"))


class _Unit(NamedTuple):
    """A field: how it is written, the least and the greatest value, names by value."""

    pattern: re.Pattern[str]
    low: int
    high: int
    names: Mapping[str, int] = MappingProxyType({})


def _names(*groups: str) -> dict[str, int]:
    return {name: value for value, group in enumerate(groups, 1) for name in group.split()}


_MONTHS: Final = _names(
    *("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july"),
    *("aug august", "sep september", "oct october", "nov november", "dec december"),
)
_WEEKDAYS: Final = _names(
    *("sun sunday", "mon monday", "tue tues tuesday", "wed wednesday", "thu thurs thursday"),
    *("fri friday", "sat saturday"),
)
_YEARS: Final = _Unit(_PLAIN, 1970, 2100)
_UNITS: Final = (
    _Unit(_PLAIN, 0, 59),
    _Unit(_PLAIN, 0, 59),
    _Unit(_PLAIN, 0, 23),
    _Unit(_DAYS, 1, 31),
    _Unit(_PLAIN, 1, 12, _MONTHS),
    _Unit(_DAYS, 1, 7, _WEEKDAYS),
    _YEARS,
)
_SHORT: Final = {
    "@yearly": "0 0 0 1 1 * *",
    "@monthly": "0 0 0 1 * * *",
    "@weekly": "0 0 0 * * 1 *",
    "@daily": "0 0 0 * * * *",
    "@hourly": "0 0 * * * * *",
}


class Cron:
    """A cron expression.

    Raises:
        ValueError: the server would refuse it.
    """

    def __init__(self, expression: str) -> None:
        text = expression.strip()
        text = _SHORT.get(text, f"0 {text}" if len(text.split()) == 5 else text)
        second, minute, hour, day, month, self._weekdays, year = map(sorted, _fields(text))
        self._values = (year, month, day, hour, minute, second)

    def next(self, after: int) -> int:
        """Return when the server runs next after `after`: a minute later where no time is left.

        Both are Unix milliseconds.
        """
        found = self.first_after(after)
        return after + _NO_TIME_LEFT if found is None else found

    def first_after(self, after: int) -> int | None:
        """Return the first time after `after`, or None where the server's library finds none."""
        begin = datetime.fromtimestamp(after // 1000 + 1, UTC)
        # The library keeps month and day of `after` as the least even where the year is a later
        # one: "0 0 0 1 1 * 2030" asked in November 2026 has no time left.
        lows: tuple[int, ...] = (begin.month, begin.day, begin.hour, begin.minute, begin.second)
        for year in self._values[0]:
            if year < begin.year:
                continue
            if found := self._first((year,), lows):
                return int(datetime(*found, tzinfo=UTC).timestamp()) * 1000  # type: ignore[misc,arg-type]  # six numbers
            lows = ()
        return None

    def _first(self, chosen: tuple[int, ...], lows: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return the first time that begins with `chosen`; `lows` bound the units after it."""
        unit = len(chosen)
        if unit == 3 and (calendar.weekday(*chosen) + 1) % 7 + 1 not in self._weekdays:
            return None
        if unit == len(self._values):
            return chosen
        values = self._values[unit]
        high = calendar.monthrange(*chosen)[1] if unit == 2 else 60
        low = lows[0] if lows else 0
        below = lows[1:] if low in values else ()
        for value in takewhile(lambda one: one <= high, values):
            if value < min(low, high):
                continue
            if found := self._first((*chosen, value), below):
                return found
            below = ()
        return None


def _fields(text: str) -> list[set[int]]:
    """Return the values of each field, in the order of `_UNITS`."""
    fields, position = [], 0
    for unit in _UNITS:
        if unit is _YEARS and position == len(text):
            fields.append(set(range(unit.low, unit.high + 1)))
            continue
        found = unit.pattern.match(text, position)
        if found is None:
            raise ValueError(text)
        position = found.end()
        fields.append(set().union(*(_values(part, unit) for part in found[1].split(","))))
    if position < len(text):
        raise ValueError(text)
    return fields


def _values(part: str, unit: _Unit) -> set[int]:
    span, slash, step = part.partition("/")
    first, dash, last = span.partition("-")
    low, high = unit.low, unit.high
    if first.strip() not in ("*", "?"):
        low = _value(first, unit)
        high = _value(last, unit) if dash else unit.high if slash else low
    if low > high or (slash and int(step) > _LARGEST):
        raise ValueError(part)
    values = range(low, high + 1)
    return set(values[:: int(step)] if slash else values)


def _value(text: str, unit: _Unit) -> int:
    text = text.strip()
    value = int(text) if text.isdigit() else unit.names.get(text.lower(), -1)
    if not unit.low <= value <= unit.high:
        raise ValueError(text)
    return value

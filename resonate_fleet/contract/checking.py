"""Checks a decoded TOML table field by field and collects every mistake, with its line."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec.structs import fields

from resonate_fleet.contract.toml_lines import Path, line_of

_BARE = re.compile("[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Field:
    """A key that a table may have, the type of its value, and the words for what is accepted."""

    name: str
    kind: Any
    accepts: str
    required: bool = False


def fields_of(kind: type[msgspec.Struct]) -> tuple[Field, ...]:
    """Return the fields of a Struct that have annotations such as `whole(1, 9)`.

    A field without a default is required.
    """
    return tuple(
        Field(one.name, accepted, words, one.required)
        for one in fields(kind)
        for accepted, words in getattr(one.type, "__metadata__", ())
    )


def whole(low: int, high: int) -> tuple[Any, str]:
    words = f"a whole number from {low} to {high}" if low < high else str(low)
    return Annotated[int, msgspec.Meta(ge=low, le=high)], words


def between(low: float, high: float) -> tuple[Any, str]:
    return _number(low, high), f"a number from {low:g} to {high:g}"


def at_least(low: float) -> tuple[Any, str]:
    return Annotated[float, msgspec.Meta(ge=low)], f"a number of at least {low:g}"


def pair(low: float, high: float) -> tuple[Any, str]:
    one = _number(low, high)
    words = f"two numbers from {low:g} to {high:g}, as in [0.3, 1.0]"
    return tuple[one, one], words  # type: ignore[valid-type]  # `one` is made at run time


def one_of(words: Iterable[str]) -> tuple[Any, str]:
    known = tuple(words)
    return Literal[known], ", ".join(known)


def text(what: str) -> tuple[Any, str]:
    return Annotated[str, msgspec.Meta(min_length=1)], what


def flag() -> tuple[Any, str]:
    return bool, "true, false"


def _number(low: float, high: float) -> Any:
    return Annotated[float, msgspec.Meta(ge=low, le=high)]


class Checker:
    """Reads tables of one file; `wrong` holds line and sentence of each mistake so far."""

    def __init__(self, file: str, places: dict[Path, int]) -> None:
        self._file = file
        self._places = places
        self.wrong: list[tuple[int, str]] = []

    def lines(self) -> list[str]:
        return [f"{self._file}:{line}: {sentence}" for line, sentence in sorted(self.wrong)]

    def refuse(self, path: Path, value: Any, accepts: str) -> None:
        self._add(path, f"{_dotted(path)} is {value!r}; accepted: {accepts}")

    def miss(self, path: Path, accepts: str) -> None:
        self._add(path, f"{_dotted(path)} is missing; accepted: {accepts}")

    def _add(self, path: Path, sentence: str) -> None:
        self.wrong.append((line_of(self._places, path), sentence))

    def table(
        self, raw: Any, path: Path, fields: tuple[Field, ...], others: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Return the good values of a table; note the bad, missing and unknown ones.

        `others` are keys that stand beside `fields` and are read elsewhere.
        """
        if not isinstance(raw, dict):
            self.refuse(path, raw, "a table")
            return {}
        good: dict[str, Any] = {}
        for field in fields:
            if field.name in raw:
                self._value(raw[field.name], (*path, field.name), field, good)
            elif field.required:
                self.miss((*path, field.name), field.accepts)
        self._unknown(raw, path, [*(field.name for field in fields), *others])
        return good

    def _value(self, value: Any, path: Path, field: Field, good: dict[str, Any]) -> None:
        try:
            good[field.name] = msgspec.convert(value, field.kind)
        except msgspec.ValidationError:
            self.refuse(path, value, field.accepts)

    def _unknown(self, raw: dict[str, Any], path: Path, known: list[str]) -> None:
        for key in sorted(set(raw) - set(known)):
            near = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            at = (*path, key)
            self._add(at, f"{_dotted(at)} is not known{hint}; accepted: {', '.join(known)}")


def _dotted(path: Path) -> str:
    parts = (part for part in path if isinstance(part, str))
    return ".".join(part if _BARE.fullmatch(part) else repr(part) for part in parts)

"""Reads TOML files, checks them field by field, and collects every mistake with its line."""

import difflib
import pathlib
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import fields

from resonate_fleet.contract.settings import Kind, Mistake

Path = tuple[str | int, ...]

_NAME = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_NAMES = rf"({_NAME}(?:[ \t]*\.[ \t]*{_NAME})*)"
_HEADER = re.compile(rf"^\s*(\[\[|\[)\s*{_NAMES}\s*\]")
_KEY = re.compile(rf"^\s*{_NAMES}\s*=")
_QUOTES = re.compile(r'"""|' + "'''")
_BARE = re.compile("[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Field:
    """A key that a table may have, and the kind of its value."""

    name: str
    kind: Kind[Any]
    required: bool = False


def fields_of(cls: type[msgspec.Struct]) -> tuple[Field, ...]:
    """Return the fields of a Struct that have annotations such as `integer(1, 9)`.

    A field without a default is required.
    """
    return tuple(
        Field(one.name, kind, one.required)
        for one in fields(cls)
        for kind in getattr(one.type, "__metadata__", ())
    )


def value(form: Any, accepts: str) -> Kind[Any]:
    """Return the kind of a value that stands in files only; `form` is its type."""
    return Kind(str, accepts, lambda: form)


def text_of(path: pathlib.Path) -> str:
    """Return the text of a file, without a byte order mark.

    Raises:
        Mistake: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Mistake(f"{path}: {why}; accepted: a TOML file that can be read") from None


class Checker:
    """Reads a TOML text and its tables; `wrong` holds line and sentence of each mistake so far.

    Raises:
        Mistake: it is no TOML.
    """

    def __init__(self, toml: str, file: str) -> None:
        try:
            self.raw = tomllib.loads(toml)
        except RecursionError:
            raise Mistake(f"{file}: it nests too deep") from None
        except ValueError as error:
            raise Mistake(f"{file}: {error}") from None
        self._file = file
        self._lines = _lines(toml)
        self.wrong: list[tuple[int, str]] = []

    def finish(self) -> None:
        """Tell all mistakes.

        Raises:
            Mistake: with a line for each.
        """
        if self.wrong:
            lines = (f"{self._file}:{line}: {sentence}" for line, sentence in sorted(self.wrong))
            raise Mistake(*lines)

    def refuse(self, path: Path, value: Any, accepts: str) -> None:
        self._add(path, f"{_dotted(path)} is {value!r}; accepted: {accepts}")

    def miss(self, path: Path, accepts: str) -> None:
        self._add(path, f"{_dotted(path)} is missing; accepted: {accepts}")

    def _add(self, path: Path, sentence: str) -> None:
        """Note a mistake in the line of `path`, or of the innermost table that has one."""
        while path not in self._lines:
            path = path[:-1]
        self.wrong.append((self._lines[path], sentence))

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
            at = (*path, field.name)
            if field.name in raw:
                try:
                    good[field.name] = msgspec.convert(raw[field.name], field.kind.form())
                except msgspec.ValidationError:
                    self.refuse(at, raw[field.name], field.kind.accepts)
            elif field.required:
                self.miss(at, field.kind.accepts)
        self._unknown(raw, path, [*(field.name for field in fields), *others])
        return good

    def _unknown(self, raw: dict[str, Any], path: Path, known: list[str]) -> None:
        for key in sorted(set(raw) - set(known)):
            near = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            at = (*path, key)
            self._add(at, f"{_dotted(at)} is not known{hint}; accepted: {', '.join(known)}")


def _dotted(path: Path) -> str:
    parts = (part for part in path if isinstance(part, str))
    return ".".join(part if _BARE.fullmatch(part) else repr(part) for part in parts)


def _lines(toml: str) -> dict[Path, int]:
    """Return the line, from 1, of every table and of every key that begins a line."""
    found: dict[Path, int] = {(): 1}
    seen: Counter[Path] = Counter()
    table: Path = ()
    quoted = False
    for number, line in enumerate(toml.split("\n"), start=1):
        if not quoted:
            if header := _HEADER.match(line):
                table = _parts(header[2])
                if header[1] == "[[":
                    seen[table] += 1
                    table = (*table, seen[table] - 1)
                for depth in range(1, len(table) + 1):
                    found.setdefault(table[:depth], number)
            elif key := _KEY.match(line):
                found.setdefault((*table, *_parts(key[1])), number)
        quoted ^= len(_QUOTES.findall(line)) % 2 == 1
    return found


def _parts(names: str) -> Path:
    """Return the parts of a dotted key; some may be quoted."""
    found: list[str] = []
    try:
        inner: Any = tomllib.loads(f"{names} = 0")
    except ValueError:  # it stands in the text of a string
        return (names,)
    while isinstance(inner, dict):
        name, inner = next(iter(inner.items()))
        found.append(name)
    return tuple(found)

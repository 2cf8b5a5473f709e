"""Reads TOML files, and finds the lines of their values, which `tomllib` does not report."""

import pathlib
import re
import tomllib
from collections import Counter
from typing import Any

Path = tuple[str | int, ...]

_name = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_names = rf"({_name}(?:[ \t]*\.[ \t]*{_name})*)"
_header = re.compile(rf"^\s*(\[\[|\[)\s*{_names}\s*\]")
_key = re.compile(rf"^\s*{_names}\s*=")
_quotes = re.compile(r'"""|' + "'''")


def text_of(path: pathlib.Path) -> str:
    """Return the text of a file, without the mark that some editors put before it.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(error.strerror) from None


def decode(text: str) -> dict[str, Any]:
    """Return the tables of a file.

    Raises:
        ValueError: it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it nests too deep") from None


def locate(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every table and of every key that begins a line."""
    found: dict[Path, int] = {(): 1}
    seen: Counter[Path] = Counter()
    table: Path = ()
    quoted = False
    for number, line in enumerate(text.split("\n"), start=1):
        if not quoted:
            if header := _header.match(line):
                table = _table(header[1] == "[[", _parts(header[2]), seen)
                for depth in range(1, len(table) + 1):
                    found.setdefault(table[:depth], number)
            elif key := _key.match(line):
                found.setdefault((*table, *_parts(key[1])), number)
        quoted ^= len(_quotes.findall(line)) % 2 == 1
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


def _table(repeated: bool, name: Path, seen: Counter[Path]) -> Path:  # noqa: FBT001 - `[[` or `[`
    if not repeated:
        return name
    seen[name] += 1
    return (*name, seen[name] - 1)


def line_of(found: dict[Path, int], path: Path) -> int:
    """Return the line of `path`, or of the innermost table around it that has one."""
    while path not in found:
        path = path[:-1]
    return found[path]

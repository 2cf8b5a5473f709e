"""Finds the lines of values in a TOML file, which `tomllib` does not report."""

import re
from collections import Counter

Path = tuple[str | int, ...]

_header = re.compile(r"^\s*(\[\[|\[)\s*([A-Za-z0-9_.-]+)\s*\]")
_key = re.compile(r"^\s*([A-Za-z0-9_.-]+)\s*=")
_quotes = re.compile(r'"""|' + "'''")


def locate(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every table and of every key that begins a line."""
    found: dict[Path, int] = {(): 1}
    seen: Counter[str] = Counter()
    table: Path = ()
    quoted = False
    for number, line in enumerate(text.splitlines(), start=1):
        if not quoted:
            if header := _header.match(line):
                table = _table(header[1] == "[[", header[2], seen)
                for depth in range(1, len(table) + 1):
                    found.setdefault(table[:depth], number)
            elif key := _key.match(line):
                found.setdefault((*table, *key[1].split(".")), number)
        quoted ^= len(_quotes.findall(line)) % 2 == 1
    return found


def _table(repeated: bool, name: str, seen: Counter[str]) -> Path:  # noqa: FBT001 - `[[` or `[`
    if not repeated:
        return tuple(name.split("."))
    seen[name] += 1
    return (*name.split("."), seen[name] - 1)


def line_of(found: dict[Path, int], path: Path) -> int:
    """Return the line of `path`, or of the innermost table around it that has one."""
    while path not in found:
        path = path[:-1]
    return found[path]

"""Tables for a terminal: foreign text is cleaned, ids stay whole, what has no room is left out."""

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from resonate_fleet.contract.shown import clean

#: Width where there is no terminal to ask: nothing is cut off there.
WIDE: Final = 1000
GAP: Final = 3
#: What a column that may be cut keeps at least.
LEAST: Final = 12


def console() -> Console:
    """Return a console that cuts nothing off where its output is read by a program."""
    made = Console()
    return made if made.is_terminal else Console(width=WIDE)


def plain(text: object, style: str = "") -> Text:
    """Return foreign text as what it is: no markup, nothing that a terminal acts on."""
    return Text(clean(text), style=style)


def print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print names with their values, foreign text cleaned; a list has a line for each value."""
    for name, value in fields:
        for one in value if isinstance(value, list) else [value]:
            sys.stdout.write(f"{name:<11}{clean(one)}\n")


def moment(at: float | None) -> str:
    """Return a time, Unix seconds, as this machine's clock shows it; nothing for None."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else ""


def table(names: Sequence[str], rows: Iterable[Sequence[object]], width: int) -> Table:
    """Return a table without lines that is at most `width` wide.

    A name that ends in `>` has its cells to the right; in `~`: they are cut where there is no
    room; in `?`: the column is left out then, the last one first.
    """
    cells = [[_cell(one) for one in row] for row in rows]
    natural = [_widest(names, cells, index) for index in range(len(names))]
    kept = _kept(names, natural, width)
    spare = width - sum(_least(names[n], natural[n]) + GAP for n in kept) + GAP
    made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for n in kept:
        cut = "~" in names[n]
        made.add_column(
            names[n].rstrip(">~?"),
            justify="right" if ">" in names[n] else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=None if cut else natural[n],
            max_width=_least(names[n], natural[n]) + max(spare, 0) if cut else None,
        )
    for row in cells:
        made.add_row(*(row[n] for n in kept))
    return made


def _cell(value: object) -> RenderableType:
    if isinstance(value, str | int | float):
        return plain(value)
    return value  # type: ignore[return-value] # whatever else is put into a table can be drawn


def _widest(names: Sequence[str], cells: list[list[RenderableType]], index: int) -> int:
    widths = [len(names[index].rstrip(">~?"))]
    for row in cells:
        one = row[index]
        width = getattr(one, "width", None)  # of a bar
        widths.append(one.cell_len if isinstance(one, Text) else width or 0)
    return max(widths)


def _least(name: str, natural: int) -> int:
    return min(natural, LEAST) if "~" in name else natural


def _kept(names: Sequence[str], natural: list[int], width: int) -> list[int]:
    kept = list(range(len(names)))
    while sum(_least(names[n], natural[n]) + GAP for n in kept) - GAP > width:
        spare = [n for n in kept if "?" in names[n]]
        if not spare:
            break
        kept.remove(spare[-1])
    return kept


def shortened[T](rows: Sequence[T], room: int) -> tuple[Sequence[T], str]:
    """Return the rows that `room` lines can hold, and what says how many are left out."""
    if len(rows) <= room:
        return rows, ""
    shown = max(room - 1, 0)
    return rows[:shown], f"and {len(rows) - shown} more"


def ago(seconds: float) -> str:
    """Return a span of time in the unit that suits it.

    >>> [ago(0.25), ago(75), ago(7200)]
    ['0.2 s', '1m 15s', '2h 00m']
    """
    if seconds < 60:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60}m {int(seconds) % 60:02d}s"
    return f"{int(seconds) // 3600}h {int(seconds) % 3600 // 60:02d}m"

"""Tables for a terminal: foreign text is cleaned, ids stay whole, what has no room is left out."""

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from resonate_fleet.contract.screen import Screen, plain
from resonate_fleet.contract.shown import clean

#: Width where there is no terminal to ask: nothing is cut off there.
WIDE: Final = 4000
GAP: Final = 2
#: What may stand behind the name of a column.
_MARKS: Final = ">~?/"
#: What a column that may be cut keeps at least.
LEAST: Final = 12


def console() -> Console:
    """Return a console that cuts nothing off where its output is read by a program."""
    made = Screen()
    return made if made.is_terminal else Screen(width=WIDE)


def print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print names with their values, foreign text cleaned; a list has a line for each value.

    A name that comes again is not repeated.
    """
    last = ""
    for name, value in fields:
        for one in value if isinstance(value, list) else [value]:
            sys.stdout.write(f"{'' if name == last else name:<11}{clean(one)}\n")
            last = name


def moment(at: float | None) -> str:
    """Return a time, Unix seconds, as this machine's clock shows it; nothing for None."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else ""


def table(names: Sequence[str], rows: Iterable[Sequence[object]], width: int) -> Table:
    """Return a table without lines that is at most `width` wide.

    Marks behind a name say how its column is shown:

    - `>` cells stand to the right;
    - `~` cells are cut where there is no room;
    - `/` cells are ids, which go on in the next line if they take more than half of the width;
    - `?` the column is left out if it is empty; where there is no room, those with the most `?` go
      first.
    """
    cells = [[one if isinstance(one, Text) else plain(one) for one in row] for row in rows]
    room, spare = _room(names, cells, width)
    made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for n, own in room.items():
        cut = "~" in names[n]
        made.add_column(
            names[n].rstrip(_MARKS),
            justify="right" if ">" in names[n] else "left",
            no_wrap="/" not in names[n],
            overflow="fold" if "/" in names[n] else "ellipsis",
            min_width=None if cut else own,
            max_width=own + max(spare, 0) if cut else own,
        )
    for row in cells:
        made.add_row(*(row[n] for n in room))
    return made


def _room(
    names: Sequence[str], cells: Sequence[Sequence[Text]], width: int
) -> tuple[dict[int, int], int]:
    """Return the width of each column that is shown, by its number, and what is left over."""
    kept, room = [], {}
    for n, name in enumerate(names):
        if "?" not in name or not cells or any(row[n].plain for row in cells):
            kept.append(n)
        natural = max(len(name.rstrip(_MARKS)), *(row[n].cell_len for row in cells), 0)
        most = width // 2 if "/" in name else LEAST if "~" in name else natural
        room[n] = min(natural, most)

    def spare() -> int:
        return width - sum(room[n] + GAP for n in kept) + GAP

    while spare() < 0 and (optional := [n for n in kept if "?" in names[n]]):
        kept.remove(max(optional, key=lambda n: (names[n].count("?"), n)))
    for n in kept:
        if "/" in names[n] and spare() < 0:  # nothing else can give way
            room[n] = max(room[n] + spare(), min(room[n], LEAST))
    return {n: room[n] for n in kept}, spare()


def print_table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    screen = console()
    screen.print(table(names, rows, screen.width))


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

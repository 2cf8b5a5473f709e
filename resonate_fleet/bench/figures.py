"""What a bench run brings: figures with their spread, as a table and as JSON."""

import statistics
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table

type Side = Literal["at most", "at least"]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One thing measured, once a seed (or once at all). `goal` is the bound that was set.

    `load` is the machine's load when the measure began, this run's own earlier work included.
    """

    measure: str
    what: str
    worker: str
    unit: str
    values: list[float]
    goal: str = ""
    met: bool | None = None
    load: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.values)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run: what ran where, and the figures."""

    command: str
    server: str
    machine: str
    versions: dict[str, str]
    at: str
    #: Seconds.
    took: float
    #: The machine's load (1 minute) before the first and after the last measure.
    load: float
    load_after: float
    figures: list[Figure]


def judged(
    figure: Figure, goal: str, bound: float, how: Callable[[Sequence[float]], float], side: Side
) -> Figure:
    """Return the figure with its goal and whether it was met."""
    value = how(figure.values)
    met = value <= bound if side == "at most" else value >= bound
    return msgspec.structs.replace(figure, goal=f"{goal} {side} {bound:g}", met=met)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(report: Report, console: Console) -> None:
    """Print the figures as a table."""
    table = Table(title=f"{report.server}, {report.machine}, load {report.load:.1f}")
    for heading in ("measure", "what", "worker", "median", "min", "max", "n", "goal"):
        table.add_column(heading, justify="left" if heading in _WORDS else "right")
    for one in report.figures:
        mark = "" if one.met is None else (" met" if one.met else " MISSED")
        numbers = [f"{value:.5g}" for value in (one.median, min(one.values), max(one.values))]
        numbers[0] += f" {one.unit}" if one.unit else ""
        table.add_row(
            one.measure, one.what, one.worker, *numbers, str(len(one.values)), one.goal + mark
        )
    console.print(table)


def markdown(report: Report) -> str:
    """Return the figures as a Markdown table, below what ran where."""
    versions = ", ".join(f"{name} {number}" for name, number in sorted(report.versions.items()))
    loads = f"load {report.load:.1f} before and {report.load_after:.1f} after"
    where = f"{report.server}, {report.machine}, {versions}"
    lines = [
        f"`{report.command}`: {where}, {report.at}, {report.took:.0f} s, {loads}.",
        "",
        "| measure | worker | median (least to most) | p99 | n | load | goal | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_row, report.figures)]) + "\n"


def _row(one: Figure) -> str:
    shown = f"{one.median:.5g}"
    if len(one.values) > 1:
        shown += f" ({min(one.values):.5g} to {max(one.values):.5g})"
    p99 = f"{percentile(one.values, 0.99):.5g}" if len(one.values) >= 50 else ""
    met = "" if one.met is None else ("met" if one.met else "missed")
    unit = f", {one.unit}" if one.unit else ""
    cells = [f"{one.measure}: {one.what}{unit}", one.worker, shown, p99, str(len(one.values))]
    return "| " + " | ".join([*cells, f"{one.load:.1f}", one.goal, met]) + " |"


_WORDS = ("measure", "what", "worker", "goal")

"""What a bench run brings: figures with their spread and goals, as Markdown and as JSON."""

import statistics
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from resonate_fleet.contract.shown import clean
from resonate_fleet.report.figures import percentile

#: Whose worker serves a group.
Kind = Literal["ours", "plain"]
KINDS: tuple[Kind, ...] = ("ours", "plain")


class Figure(msgspec.Struct, kw_only=True):
    """One thing measured, once a seed (or once at all).

    `goals` are bounds such as "p50 <= 7, p99 <= 15". `load` is the machine's load when the measure
    began, this run's own earlier work included.
    """

    measure: str
    what: str
    worker: str
    unit: str
    values: Sequence[float]
    goals: str
    load: float

    @property
    def verdict(self) -> str:
        """Return whether the goals were met; nothing where there is none."""
        if not self.goals:
            return ""
        return (
            "met" if all(_met(goal, self.values) for goal in self.goals.split(", ")) else "missed"
        )


class BenchReport(msgspec.Struct, kw_only=True):
    """A whole run: what ran where, and the figures.

    `took` in seconds; `load` and `load_after` are the machine's (1 minute) before the first and
    after the last measure.
    """

    command: str
    server: str = "embedded server"
    machine: str
    versions: dict[str, str]
    at: str
    took: float = 0.0
    load: float
    load_after: float = 0.0
    figures: list[Figure] = []


class BenchFigures:
    """Collects what a measure finds."""

    def __init__(self, report: BenchReport, measure: str, load: float) -> None:
        self._report, self._measure, self._load = report, measure, round(load, 2)

    def add(
        self,
        what: str,
        values: float | Sequence[float],
        unit: str = "",
        goals: str = "",
        worker: str = "ours",
    ) -> None:
        """Add a figure; goals are set for our own worker alone."""
        figure = Figure(
            measure=self._measure,
            what=what,
            worker=worker,
            unit=unit,
            values=values if isinstance(values, Sequence) else [values],
            goals=goals if worker == "ours" else "",
            load=self._load,
        )
        self._report.figures.append(figure)


_OF: dict[str, Callable[[Sequence[float]], float]] = {
    "median": statistics.median,
    "p50": statistics.median,
    "p95": lambda values: percentile(values, 0.95),
    "p99": lambda values: percentile(values, 0.99),
    "worst": max,
    "least": min,
}


def _met(goal: str, values: Sequence[float]) -> bool:
    of, side, bound = goal.split()
    value = _OF[of](values)
    return value <= float(bound) if side == "<=" else value >= float(bound)


_COLUMNS = ("measure", "worker", "median (least to most)", "p99", "n", "load", "goal", "")


def markdown(report: BenchReport) -> str:
    """Return the figures as a Markdown table, below what ran where."""
    versions = ", ".join(f"{name} {number}" for name, number in sorted(report.versions.items()))
    loads = f"load {report.load:.1f} before and {report.load_after:.1f} after"
    lines = [
        f"`{clean(report.command)}`:",
        f"{clean(report.server)}, {report.machine}, {versions},",
        f"{report.at}, {report.took:.0f} s, {loads}.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{'---|' * len(_COLUMNS)}",
        *(f"| {' | '.join(_cells(one))} |" for one in report.figures),
    ]
    return "\n".join(lines) + "\n"


def _cells(one: Figure) -> list[str]:
    shown = f"{statistics.median(one.values):.4g}"
    if len(one.values) > 1:
        shown += f" ({min(one.values):.4g} to {max(one.values):.4g})"
    p99 = f"{percentile(one.values, 0.99):.4g}" if len(one.values) >= 50 else ""
    what = f"{one.measure}: {one.what}{', ' if one.unit else ''}{one.unit}"
    count, load = str(len(one.values)), f"{one.load:.1f}"
    return [what, one.worker, shown, p99, count, load, one.goals, one.verdict]

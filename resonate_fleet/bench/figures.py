"""What a bench run brings: figures with their spread and goals, as Markdown and as JSON."""

import statistics
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.shown import markdown as markdown_words

type Of = Literal["median", "p50", "p95", "p99", "worst", "least"]


class Goal(msgspec.Struct, frozen=True):
    """A bound that was set on the median, say, of a figure's values."""

    of: Of
    side: Literal["<=", ">="]
    bound: float

    def met(self, values: Sequence[float]) -> bool:
        value = _OF[self.of](values)
        return value <= self.bound if self.side == "<=" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.of} {self.side} {self.bound:g}"


type Goals = tuple[Goal, ...]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One thing measured, once a seed (or once at all).

    `load` is the machine's load when the measure began, this run's own earlier work included.
    """

    measure: str
    what: str
    worker: str = "ours"
    unit: str = ""
    values: list[float]
    goals: tuple[Goal, ...] = ()
    load: float = 0.0

    @property
    def verdict(self) -> str:
        """Return whether the goals were met; nothing where there is none."""
        if not self.goals:
            return ""
        return "met" if all(goal.met(self.values) for goal in self.goals) else "missed"

    @property
    def goal(self) -> str:
        return ", ".join(map(str, self.goals))


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run: what ran where, and the figures.

    `took` in seconds; `load` and `load_after` are the machine's (1 minute) before the first and
    after the last measure.
    """

    command: str
    server: str
    machine: str
    versions: dict[str, str]
    at: str
    took: float
    load: float
    load_after: float
    figures: list[Figure]


def figure(
    measure: str,
    what: str,
    values: list[float],
    unit: str = "",
    goals: Goals = (),
    worker: str = "ours",
) -> Figure:
    """Return a figure; goals are set for our own worker alone."""
    goals = goals if worker == "ours" else ()
    return Figure(measure=measure, what=what, worker=worker, unit=unit, values=values, goals=goals)


def at_most(**bounds: float) -> Goals:
    """Return goals such as `at_most(median=1.006, worst=1.012)`."""
    return tuple(Goal(msgspec.convert(of, Of), "<=", bound) for of, bound in bounds.items())


def at_least(**bounds: float) -> Goals:
    return tuple(Goal(msgspec.convert(of, Of), ">=", bound) for of, bound in bounds.items())


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


_OF: dict[Of, Callable[[Sequence[float]], float]] = {
    "median": statistics.median,
    "p50": statistics.median,
    "p95": lambda values: percentile(values, 0.95),
    "p99": lambda values: percentile(values, 0.99),
    "worst": max,
    "least": min,
}

_COLUMNS = ("measure", "worker", "median (least to most)", "p99", "n", "load", "goal", "")


def markdown(report: BenchReport) -> str:
    """Return the figures as a Markdown table, below what ran where."""
    versions = ", ".join(f"{name} {number}" for name, number in sorted(report.versions.items()))
    loads = f"load {report.load:.1f} before and {report.load_after:.1f} after"
    lines = [
        f"`{clean(report.command)}`:",
        f"{markdown_words(report.server)}, {report.machine}, {versions},",
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
    return [what, one.worker, shown, p99, count, load, one.goal, one.verdict]

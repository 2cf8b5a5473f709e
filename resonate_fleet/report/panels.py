"""Draws the panels of a Grafana dashboard with what their queries found. Pure: data in, SVG out."""

from collections.abc import Callable
from typing import Any, Final
from xml.sax.saxutils import escape

import msgspec

from resonate_fleet.report.plot import number, path, tag, text, ticks

#: Looks of series beyond these are used again.
COLOURS: Final = 8
DASHES: Final = ("", "7 3", "2 3", "9 3 2 3")
#: Room for the title above a plot, the numbers left of it, the times below it.
TOP, LEFT, BELOW, RIGHT = 40.0, 54.0, 18.0, 14.0
#: Height of a line of the legend, and the width of a letter in it, about.
LINE, LETTER = 16.0, 6.9
LEGEND_LINES: Final = 3


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One series by name. `values` stand at the times of the board, None where there is none."""

    name: str
    values: list[float | None]


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """Where a panel stands in the picture, in pixels."""

    x: float
    y: float
    w: float
    h: float


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """The plot of a panel: its corners, and what its edges stand for."""

    left: float
    right: float
    top: float
    bottom: float
    times: list[float]
    high: float

    def x(self, at: float) -> float:
        first, last = self.times[0], self.times[-1]
        return self.left + (at - first) / (last - first) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - min(value / self.high, 1.0) * (self.bottom - self.top)


def draw(panel: dict[str, Any], found: list[Series], times: list[float], box: Box) -> str:
    """Return a panel: its card and title, and within them what its kind of panel shows."""
    inner: dict[str, Callable[..., str]] = {
        "timeseries": _lines,
        "stat": _stat,
        "bargauge": _bars,
    }
    told = tag("title", escape(panel["description"]))
    card = tag("rect", x=box.x, y=box.y, width=box.w, height=box.h, rx=6, class_="card")
    title = text(box.x + 12, box.y + 21, panel["title"], "title")
    if not any(value is not None for one in found for value in one.values):
        nothing = text(
            box.x + 12, box.y + box.h / 2, "no data: nothing of the kind happened", "soft"
        )
        return tag("g", told + card + title + nothing)
    return tag("g", told + card + title + inner[panel["type"]](panel, found, times, box))


def _unit(panel: dict[str, Any]) -> str:
    return str(panel["fieldConfig"]["defaults"]["unit"])


def _lines(panel: dict[str, Any], found: list[Series], times: list[float], box: Box) -> str:
    """Curves: as they are, one upon the other, or filled, as the panel says."""
    custom = panel["fieldConfig"]["defaults"]["custom"]
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    shown = _stacked(found) if stacked else [(one.values, [0.0] * len(times)) for one in found]
    legend, lines = _legend(found, box)
    frame = Frame(
        left=box.x + LEFT,
        right=box.x + box.w - RIGHT,
        top=box.y + TOP,
        bottom=box.y + box.h - BELOW - lines * LINE - 6,
        times=times,
        high=_high(panel, [value for upper, _ in shown for value in upper]),
    )
    filled = stacked or custom["drawStyle"] == "bars"
    curves = [
        (_area(frame, upper, lower, n) if filled else "") + _curve(frame, upper, n)
        for n, (upper, lower) in enumerate(shown)
    ]
    return _grid(panel, frame) + "".join(reversed(curves)) + _limits(panel, frame) + legend


def _stacked(found: list[Series]) -> list[tuple[list[float | None], list[float]]]:
    """Return upper and lower edge of each series, the first at the bottom."""
    below = [0.0] * len(found[0].values)
    edges: list[tuple[list[float | None], list[float]]] = []
    for one in found:
        upper = [base + (value or 0.0) for base, value in zip(below, one.values, strict=True)]
        edges.append((list(upper), below))
        below = upper
    return edges


def _high(panel: dict[str, Any], values: list[float | None]) -> float:
    """Return what the upper edge stands for: beyond all that is seen, and beyond a limit nearby."""
    fixed = panel["fieldConfig"]["defaults"].get("max")
    most = max((value for value in values if value is not None), default=0.0)
    near = [one for one in _steps(panel) if most / 3 <= one <= most * 3]
    return float(fixed) if fixed else max(most, *near, 1e-3) * 1.12


def _steps(panel: dict[str, Any]) -> list[float]:
    """Return the limits that the panel draws as lines."""
    defaults = panel["fieldConfig"]["defaults"]
    if "thresholdsStyle" not in defaults.get("custom", {}):
        return []
    steps = defaults["thresholds"]["steps"]
    return [float(one["value"]) for one in steps if one["value"] is not None]


def _area(frame: Frame, upper: list[float | None], lower: list[float], n: int) -> str:
    over = [(frame.x(t), frame.y(v or 0.0)) for t, v in zip(frame.times, upper, strict=True)]
    under = [(frame.x(t), frame.y(v)) for t, v in zip(frame.times, lower, strict=True)]
    return tag("path", d=path([*over, *reversed(under)]) + "Z", class_=f"area f{n % COLOURS}")


def _curve(frame: Frame, values: list[float | None], n: int) -> str:
    points = [
        None if value is None else (frame.x(t), frame.y(value))
        for t, value in zip(frame.times, values, strict=True)
    ]
    return tag("path", d=path(points), class_=f"line s{n % COLOURS}", stroke_dasharray=_dash(n))


def _dash(n: int) -> str:
    return DASHES[(n + n // COLOURS) % len(DASHES)]


def _grid(panel: dict[str, Any], frame: Frame) -> str:
    parts = []
    for value in ticks(0, frame.high, 4):
        y = frame.y(value)
        parts.append(tag("path", d=path([(frame.left, y), (frame.right, y)]), class_="grid"))
        words = number(value, _unit(panel))
        parts.append(text(frame.left - 6, y + 4, words, "soft", text_anchor="end"))
    for at in ticks(frame.times[0], frame.times[-1], 5):
        words = number(at, "s") if at else "0"
        parts.append(text(frame.x(at), frame.bottom + 14, words, "soft", text_anchor="middle"))
    return "".join(parts)


def _limits(panel: dict[str, Any], frame: Frame) -> str:
    seen = [one for one in _steps(panel) if one <= frame.high]
    return "".join(
        tag("path", d=path([(frame.left, frame.y(v)), (frame.right, frame.y(v))]), class_="limit")
        + text(frame.right, frame.y(v) - 4, "too much", "bad", text_anchor="end")
        for v in seen
    )


def _legend(found: list[Series], box: Box) -> tuple[str, int]:
    """Return the names below the plot, and how many lines they take; the last may be a count."""
    x, line = box.x + 12, 0
    parts: list[tuple[float, int, int | None, str]] = []
    for n, one in enumerate(found):
        wide = 28 + len(one.name) * LETTER
        if x > box.x + 12 and x + wide > box.x + box.w - 8:
            x, line = box.x + 12, line + 1
        if line == LEGEND_LINES - 1 and n < len(found) - 1 and x + 2 * wide > box.x + box.w:
            parts.append((x, line, None, f"and {len(found) - n} more"))
            break
        parts.append((x, line, n, one.name))
        x += wide + 10
    lines = line + 1
    drawn = (
        _entry(x, box.y + box.h - 9 - (lines - 1 - at) * LINE, n, words)
        for x, at, n, words in parts
    )
    return "".join(drawn), lines


def _entry(x: float, y: float, n: int | None, words: str) -> str:
    if n is None:
        return text(x, y, words, "soft")
    sample = path([(x, y - 4), (x + 20, y - 4)])
    look = f"line s{n % COLOURS}"
    return tag("path", d=sample, class_=look, stroke_dasharray=_dash(n)) + text(x + 25, y, words)


def _stat(panel: dict[str, Any], found: list[Series], times: list[float], box: Box) -> str:
    """The last value, large, in the colour and with the sign of its threshold; its past below."""
    values = found[0].values
    last = next(value for value in reversed(values) if value is not None)
    word, sign = _judged(panel, last)
    most = max(value for value in values if value is not None)
    frame = Frame(
        left=box.x + 1,
        right=box.x + box.w - 1,
        top=box.y + box.h * 0.62,
        bottom=box.y + box.h - 20,
        times=times,
        high=most or 1.0,
    )
    past = _area(frame, values, [0.0] * len(times), 0) + _curve(frame, values, 0)
    large = text(box.x + 12, box.y + 66, f"{sign} {number(last, _unit(panel))}", f"large {word}")
    seen = text(box.x + 12, box.y + box.h - 6, f"at most {number(most, _unit(panel))}", "soft")
    return past + large + seen


def _judged(panel: dict[str, Any], value: float) -> tuple[str, str]:
    """Return the threshold's colour as a class, and a sign for those who see no colours."""
    colour = "green"
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    return {"green": ("good", "●"), "yellow": ("warn", "▲"), "red": ("bad", "■")}[colour]


def _bars(panel: dict[str, Any], found: list[Series], _: list[float], box: Box) -> str:
    """The last value of each series as a bar beside its name."""
    values = [(one.name, next(v for v in reversed(one.values) if v is not None)) for one in found]
    most = max(value for _, value in values) or 1.0
    row = min(26.0, (box.h - TOP - 8) / len(values))
    left = box.x + 24 + max(len(name) for name, _ in values) * LETTER
    room = box.x + box.w - 60 - left
    parts = []
    for n, (name, value) in enumerate(values):
        y = box.y + TOP + n * row
        parts.append(text(box.x + 12, y + row / 2 + 4, name))
        wide = value / most * room
        parts.append(tag("rect", x=left, y=y + 3, width=wide, height=row - 6, rx=2, class_="bar"))
        parts.append(text(left + wide + 6, y + row / 2 + 4, number(value, _unit(panel))))
    return "".join(parts)

"""Small helpers of drawn pictures: SVG as text, scales, round ticks, numbers with their units."""

import math
from collections.abc import Iterable
from typing import Final
from xml.sax.saxutils import escape, quoteattr

#: What Grafana calls a unit, and what stands behind a number of it.
UNITS: Final = {"short": "", "s": " s", "ops": "/s", "reqps": "/s", "percentunit": " %"}


def tag(name: str, inside: str = "", **given: object) -> str:
    """Return an element; `_` in an attribute's name is `-`, and a last one is dropped."""
    pairs = (
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(_text(value))}"
        for key, value in given.items()
    )
    return f"<{name}{''.join(pairs)}>{inside}</{name}>"


def _text(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def text(x: float, y: float, words: str, look: str = "", **given: object) -> str:
    """Return a line of text, in the style sheet's class `look`."""
    return tag("text", escape(words), x=x, y=y, class_=look, **given)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers from `low` to `high`."""
    raw = (high - low) / count or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((n * power for n in (1, 2, 5, 10) if n * power >= raw * 0.999), 10 * power)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float, unit: str) -> str:
    """Return a value with its unit, short.

    >>> number(0.25, "percentunit"), number(0.034, "s"), number(12, "short")
    ('25 %', '34 ms', '12')
    """
    if unit == "percentunit":
        value *= 100
    if unit == "s" and 0 < abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g}{UNITS[unit]}" if abs(value) < 1000 else f"{value:.0f}{UNITS[unit]}"


def path(points: Iterable[tuple[float, float] | None]) -> str:
    """Return the way through `points`, begun anew after each None."""
    way, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        way.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "L"
    return "".join(way)

"""A Grafana dashboard as one SVG: its own grid, titles, units and thresholds. Pure."""

from importlib.resources import files
from typing import Any, Final

from resonate_fleet.report.panels import Box, Series, draw
from resonate_fleet.report.plot import tag, text

#: Grafana's grid has 24 columns; width of the picture and of the gaps, height of a grid row.
COLUMNS: Final = 24
WIDTH, GAP, ROW, HEAD = 1320.0, 8.0, 36.0, 58.0


def board(
    dashboard: dict[str, Any], found: dict[int, list[Series]], times: list[float], says: str
) -> str:
    """Return the picture. `found` holds the series of each panel, by its id.

    `times` are those of all values, in seconds from the start; `says` stands under the title.
    """
    inside = [
        tag(
            "style",
            files("resonate_fleet.report")
            .joinpath("page", "board.css")
            .read_text(encoding="utf-8"),
        ),
        tag("rect", width=WIDTH, height=_height(dashboard), class_="paper"),
        text(GAP + 4, 28, dashboard["title"], "head"),
        text(GAP + 4, 47, says, "soft"),
    ]
    for panel in dashboard["panels"]:
        box = _box(panel["gridPos"])
        if panel["type"] == "row":
            inside.append(text(box.x + 4, box.y + 21, panel["title"], "row"))
        else:
            inside.append(draw(panel, found.get(panel["id"], []), times, box))
    size = {"width": WIDTH, "height": _height(dashboard)}
    view = f"0 0 {WIDTH:g} {_height(dashboard):g}"
    named = {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "viewBox": view}
    return tag("svg", "\n".join(inside), **named, **size) + "\n"


def _height(dashboard: dict[str, Any]) -> float:
    last = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in dashboard["panels"])
    return float(HEAD + last * ROW + GAP)


def _box(place: dict[str, int]) -> Box:
    column = (WIDTH - GAP) / COLUMNS
    return Box(
        x=GAP + place["x"] * column,
        y=HEAD + place["y"] * ROW,
        w=place["w"] * column - GAP,
        h=place["h"] * ROW - (GAP if place["h"] > 1 else 0),
    )

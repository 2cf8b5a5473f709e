"""The report as one HTML file: no network, no framework; style, scripts and data inside."""

from importlib.resources import files

import msgspec

from resonate_fleet.report.facts import Facts
from resonate_fleet.report.sections import sections
from resonate_fleet.report.timeline import timeline
from resonate_fleet.report.verdict import Verdict

#: In the order in which they are read.
SCRIPTS = ("tools.js", "timeline.js", "overlay.js", "charts.js", "stories.js", "page.js")


def page(facts: Facts, verdict: Verdict) -> str:
    """Return the whole page."""
    data = {
        "timeline": timeline(facts),
        "strikes": verdict.figures.strike_figures,
        "shares": verdict.figures.shares,
        "wait": verdict.figures.queue_wait,
    }
    filled = {
        "style": _file("page.css"),
        "scripts": "\n".join(_file(name) for name in SCRIPTS),
        "data": _inside_a_script(msgspec.json.encode(data).decode()),
        **sections(facts, verdict),
    }
    text = _file("page.html")
    for name, value in filled.items():
        text = text.replace(f"<!--{name}-->", value, 1)
    return text


def _file(name: str) -> str:
    return files("resonate_fleet.report").joinpath("page", name).read_text(encoding="utf-8")


def _inside_a_script(data: str) -> str:
    """Return JSON that no HTML parser takes for the end of its script element."""
    return data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")

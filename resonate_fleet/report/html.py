"""The report as one HTML file: no network, no framework; style, scripts and data inside."""

import re
from importlib.resources import files

import msgspec

from resonate_fleet.report.facts import Facts
from resonate_fleet.report.sections import sections
from resonate_fleet.report.timeline import timeline
from resonate_fleet.report.verdict import Verdict

#: The console's modules that draw lanes, then the report's own, each after those that it imports.
SHARED = ("dom.js", "outcomes.js", "signs.js", "lanes.js", "pointing.js", "legend.js", "theme.js")
OWN = ("charts.js", "page.js")


def page(facts: Facts, verdict: Verdict) -> str:
    data = {
        "timeline": timeline(facts),
        "strikes": verdict.figures.strike_figures,
        "shares": verdict.figures.shares,
        "wait": verdict.figures.queue_wait,
    }
    filled = {
        "style": "\n".join([_web("theme.css"), _web("console.css"), _own("page.css")]),
        "scripts": _one_script([*map(_web, SHARED), *map(_own, OWN)]),
        "data": _inside_a_script(msgspec.json.encode(data).decode()),
        **sections(facts, verdict),
    }
    text = _own("page.html")
    for name, value in filled.items():
        text = text.replace(f"<!--{name}-->", value, 1)
    return text


def _one_script(modules: list[str]) -> str:
    """Return modules as one script: a file that is opened without a server can import nothing."""
    return re.sub(r"^import .*\n|^export ", "", "\n".join(modules), flags=re.MULTILINE)


def _web(name: str) -> str:
    return files("resonate_fleet.web").joinpath(name).read_text(encoding="utf-8")


def _own(name: str) -> str:
    return files("resonate_fleet.report").joinpath("page", name).read_text(encoding="utf-8")


def _inside_a_script(data: str) -> str:
    """Return JSON that no HTML parser takes for the end of its script element."""
    return data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")

"""The report as one HTML file: no network, no framework; style, scripts and data inside.

Words and tables are readable without any script.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec

from resonate_fleet.contract.journal import Parked
from resonate_fleet.contract.shown import html as escape
from resonate_fleet.report.facts import Facts
from resonate_fleet.report.figures import key_shares
from resonate_fleet.report.findings import Finding
from resonate_fleet.report.recoveries import StrikeFigure
from resonate_fleet.report.timeline import timeline
from resonate_fleet.report.verdict import SIGNS, Guarantee, Verdict, counted

#: Where the console's files lie, and the report's own.
SHARED, OWN = files("resonate_fleet.web"), files("resonate_fleet.report") / "page"
#: The console's modules that draw lanes, then the report's own, each after those that it imports.
LANES = ("dom.js", "outcomes.js", "signs.js", "lanes.js", "pointing.js", "legend.js", "theme.js")
CHARTS = ("charts.js", "page.js")
#: Findings beyond this are counted; verdict.json has them all.
SHOWN = 100
SAID = {"as predicted": "✔", "sooner": "≠", "later": "✘"}
STRIKE_HEADS = (
    "strike", "at", "fault", "target", "held", "interrupted", "taken up after", "predicted", "how",
)  # fmt: skip
NONE = "–"  # noqa: RUF001 - a dash for no figure


def page(facts: Facts, verdict: Verdict) -> str:
    filled = {**_files(), "data": _data(facts, verdict), **_words(facts, verdict)}
    text = (OWN / "page.html").read_text(encoding="utf-8")
    return re.sub(r"<!--(\w+)-->", lambda place: filled[place[1]], text)


def _files() -> dict[str, str]:
    """Return the style and the script; one, since a file opened without a server imports none."""
    scripts = _joined([*(SHARED / name for name in LANES), *(OWN / name for name in CHARTS)])
    return {
        "style": _joined([SHARED / "theme.css", SHARED / "console.css", OWN / "page.css"]),
        "scripts": re.sub(r"^import .*\n|^export ", "", scripts, flags=re.MULTILINE),
    }


def _data(facts: Facts, verdict: Verdict) -> str:
    """Return what the scripts draw, as JSON that no parser of HTML takes for more than text."""
    figures = verdict.figures
    data = {
        "timeline": timeline(facts),
        "strikes": figures.strike_figures,
        "shares": figures.shares,
        "wait": figures.queue_wait,
    }
    encoded = msgspec.json.encode(data).decode()
    for unsafe in "<\u2028\u2029":  # the end of the script, say
        encoded = encoded.replace(unsafe, f"\\u{ord(unsafe):04x}")
    return encoded


def _words(facts: Facts, verdict: Verdict) -> dict[str, str]:
    """Return what is readable without a script, by its place in `page.html`."""
    records = facts.evidence.records
    return {
        "word": verdict.verdict,
        "sign": SIGNS[verdict.verdict],
        "scenario": escape(verdict.scenario),
        "seed": str(verdict.seed),
        "says": escape(verdict.says),
        "about": escape(_about(facts, verdict)),
        "guarantees": "".join(map(_guarantee, verdict.guarantees)),
        "tiles": _tiles(verdict),
        "findings": _findings(verdict.findings),
        "parked": _parked(facts),
        "keys": _keys(facts),
        "strikes": _strikes(verdict.figures.strike_figures),
        "lines": str(len(facts.evidence.lines)),
        "writers": str(len({entry.line.who for entry in facts.evidence.lines})),
        "records": str(len(records.records)) if records else "0",
        "server": escape(records.server) if records else "no server",
    }


def _joined(texts: Iterable[Traversable]) -> str:
    return "\n".join(one.read_text(encoding="utf-8") for one in texts)


def number(value: float | None, unit: str = "") -> str:
    """Return a figure with at most three significant digits."""
    if value is None:
        return NONE
    shown = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{shown}<small>&thinsp;{unit}</small>" if unit else shown


def _about(facts: Facts, verdict: Verdict) -> str:
    plan = facts.evidence.plan
    about = [f"seed {verdict.seed}", f"on {verdict.place}"]
    if plan:
        about.append(f"{plan.members} members of {counted(plan.slots, 'slot')}")
        about.append(f"lease {plan.lease:g} s")
        about.append("with a steward" if plan.steward else "without a steward")
    day = datetime.fromtimestamp(verdict.began, tz=UTC)
    return " · ".join([*about, f"{day:%Y-%m-%d %H:%M} UTC"])


def _guarantee(one: Guarantee) -> str:
    words, _, unit = one.guarantee.partition(", ")
    figure = f"{escape(words)} <b>{number(one.found)}{' ' + unit if unit else ''}</b>"
    if one.limit is None:
        return f'<li class="plain">{figure} <i>not judged</i></li>'
    kind, sign = ("kept", "✔") if one.kept else ("broken", "✘")
    return (
        f'<li class="{kind}"><span aria-hidden="true">{sign}</span> {figure} '
        f"<i>limit ≤ {one.limit:g}</i></li>"
    )


def _tiles(verdict: Verdict) -> str:
    figures = verdict.figures
    done = f"of {figures.jobs_planned}, {figures.claims} claims"
    parked = f", {figures.parked} parked" if figures.parked else ""
    redone = f"jobs; {figures.redone_steps} steps, {figures.redone_seconds:.1f} s of work"
    over = number(figures.makespan_over_bound, "×")  # noqa: RUF001 - the sign for times
    bound = f"the bound, {figures.bound:.1f} s" if figures.bound is not None else "no bound"
    cost = number(figures.worker_seconds_per_thousand_jobs, "s")
    wasted = None if figures.wasted_share is None else figures.wasted_share * 100
    tiles = (
        ("jobs done", str(figures.jobs_done), done + parked),
        ("done again", str(figures.redone_jobs), redone),
        ("slowest recovery", number(figures.recovery.max, "s"), _recovery_note(verdict)),
        ("hand-over", number(figures.hand_over.p50, "s"), f"median of {figures.hand_overs}"),
        ("makespan", over, f"{bound}; took {figures.makespan:.1f} s"),
        ("idle while work waited", number(figures.idle_seconds, "s"), "of one slot"),
        ("cost", cost, "of a member, a thousand jobs"),
        ("wasted", number(wasted, "%"), "done again, or idle with work"),
    )
    return "".join(
        f"<div class='tile'><h3>{name}</h3><p class='value'>{value}</p><p>{note}</p></div>"
        for name, value, note in tiles
    )


def _recovery_note(verdict: Verdict) -> str:
    judged = [one.against for one in verdict.figures.strike_figures if one.against]
    if not judged:
        return "no strike had to be recovered from"
    counts = [(judged.count(word), word) for word in ("as predicted", "sooner", "later")]
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def _findings(findings: list[Finding]) -> str:
    if not findings:
        return ""
    more = len(findings) - SHOWN
    rows = "".join(map(_finding, findings[:SHOWN]))
    rest = f"<p>and {more} more in verdict.json</p>" if more > 0 else ""
    return _section("findings", "Findings", f"<ul>{rows}</ul>{rest}")


def _finding(one: Finding) -> str:
    sign, places = "✘" if one.level == "broken" else "?", " ".join(map(_code, one.evidence))
    return (
        f'<li class="{one.level}"><b><span aria-hidden="true">{sign}</span> {one.name}</b>'
        f"<span>{escape(one.says)}</span><span class='places'>{places}</span></li>"
    )


def _section(kind: str, title: str, inside: str) -> str:
    return f'<section class="card {kind}"><h2>{title}</h2>{inside}</section>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _table(heads: Sequence[str], rows: list[list[str]]) -> str:
    """Return a table; on a narrow screen each cell stands on a line of its own, after its head."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = ""
    for row in rows:
        pairs = zip(heads, row, strict=True)
        cells = (f'<td data-head="{name}"><span>{cell}</span></td>' for name, cell in pairs)
        body += f"<tr>{''.join(cells)}</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _parked(facts: Facts) -> str:
    """Return the section about jobs that were set aside, or nothing."""
    rows = [
        [
            _code(one.job), f"{one.at - facts.began:.2f} s", str(one.crashes),
            ", ".join(map(_code, one.members)),
        ]
        for one in (entry.line for entry in facts.evidence.of(Parked))
    ]  # fmt: skip
    table = _table(("job", "at", "crashes", "of members"), rows)
    says = "<p class='hint'>Set aside by the steward; fleet quarantine shows and redrives them.</p>"
    return _section("parked", "Parked jobs", table + says) if rows else ""


def _keys(facts: Facts) -> str:
    """Return the section about keys, or nothing where jobs have none."""
    rows = [
        [
            _code(one.key), str(one.jobs), str(one.starts),
            f"{100 * one.share:.0f} %", _seconds(one.median), _seconds(one.longest),
        ]
        for one in key_shares(facts)
    ]  # fmt: skip
    table = _table(("key", "jobs", "starts", "share", "median wait", "longest wait"), rows)
    says = "<p class='hint'>Starts and shares while jobs of all keys waited.</p>"
    return _section("keys", "Shares of the keys", table + says) if rows else ""


def _strikes(figures: list[StrikeFigure]) -> str:
    if not figures:
        return "<p>No strikes were planned.</p>"
    rows = [
        [
            str(one.strike), f"{one.at:.2f} s", escape(one.fault), escape(one.target),
            str(one.held), str(one.interrupted), _seconds(one.seconds),
            f"{one.predicted_low:.3g} to {one.predicted_high:.3g} s" if one.way else NONE,
            f"{escape(one.way)} {SAID[one.against]} {one.against}" if one.against else "",
        ]
        for one in figures
    ]  # fmt: skip
    return _table(STRIKE_HEADS, rows)


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g} s"

"""The parts of the page that are words and tables: readable without any script."""

from collections.abc import Sequence
from datetime import UTC, datetime

from resonate_fleet.contract.shown import html as escape
from resonate_fleet.report.facts import Facts
from resonate_fleet.report.findings import Finding
from resonate_fleet.report.guarantees import Guarantee
from resonate_fleet.report.keys import key_shares
from resonate_fleet.report.strikes import StrikeFigure
from resonate_fleet.report.verdict import Verdict

SIGNS = {"PASS": "✔", "FAIL": "✘", "INCONCLUSIVE": "?"}
#: Findings beyond this are counted; verdict.json has them all.
SHOWN = 100
SAID = {"as predicted": "✔", "sooner": "≠", "later": "✘"}
STRIKE_HEADS = (
    "strike", "at", "fault", "target", "held", "interrupted", "taken up after", "predicted", "how",
)  # fmt: skip
NONE = "–"  # noqa: RUF001 - a dash for no figure


def sections(facts: Facts, verdict: Verdict) -> dict[str, str]:
    """Return the HTML of each part by its name in the template."""
    return {
        "title": escape(f"{verdict.verdict} · {verdict.scenario}, seed {verdict.seed}"),
        "word": verdict.verdict,
        "banner": _banner(facts, verdict),
        "guarantees": "".join(_guarantee(one) for one in verdict.guarantees),
        "tiles": _tiles(verdict),
        "findings": _findings(verdict.findings),
        "parked": _parked(facts),
        "keys": _keys(facts),
        "strikes": _strikes(verdict.figures.strike_figures),
        "made": _made(facts),
    }


def number(value: float | None, unit: str = "") -> str:
    """Return a figure with at most three digits that matter."""
    if value is None:
        return NONE
    shown = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{shown}<small>&thinsp;{unit}</small>" if unit else shown


def _banner(facts: Facts, verdict: Verdict) -> str:
    plan = facts.evidence.plan
    about = [f"seed {verdict.seed}", f"on {verdict.place}"]
    if plan:
        slots = "1 slot" if plan.slots == 1 else f"{plan.slots} slots"
        about += [f"{plan.members} members of {slots}", f"lease {plan.lease:g} s"]
        about.append("with a steward" if plan.steward else "without a steward")
    day = datetime.fromtimestamp(verdict.began, tz=UTC)
    about.append(f"{day:%Y-%m-%d %H:%M} UTC")
    return (
        f'<p class="stamp"><span aria-hidden="true">{SIGNS[verdict.verdict]}</span> '
        f"{verdict.verdict}</p>"
        f"<div><h1>{escape(verdict.scenario)}</h1>"
        f'<p class="says">{escape(verdict.says)}</p>'
        f'<p class="about">{escape(" · ".join(about))}</p></div>'
    )


def _guarantee(one: Guarantee) -> str:
    words, _, unit = one.guarantee.partition(", ")
    figure = f"{escape(words)} <b>{number(one.found)}{' ' + unit if unit else ''}</b>"
    if one.limit is None:
        return f'<li class="plain">{figure} <i>not judged</i></li>'
    look, sign = ("kept", "✔") if one.kept else ("broken", "✘")
    return (
        f'<li class="{look}"><span aria-hidden="true">{sign}</span> {figure} '
        f"<i>limit ≤ {one.limit:g}</i></li>"
    )


def _tiles(verdict: Verdict) -> str:
    figures = verdict.figures
    bound = f"the bound, {figures.bound:.1f} s" if figures.bound is not None else "no bound"
    redone = f"jobs; {figures.redone_steps} steps, {figures.redone_seconds:.1f} s of work"
    cost, wasted = figures.worker_seconds_per_thousand_jobs, _percent(figures.wasted_share)
    over = number(figures.makespan_over_bound, "×")  # noqa: RUF001 - the sign for times
    tiles = [
        (
            "jobs done",
            str(figures.jobs_done),
            f"of {figures.jobs_planned}, {figures.claims} claims"
            + (f", {figures.parked} parked" if figures.parked else ""),
        ),
        ("done again", str(figures.redone_jobs), redone),
        ("slowest recovery", number(figures.recovery.max, "s"), _recovery_note(verdict)),
        ("hand-over", number(figures.hand_over.p50, "s"), f"median of {figures.hand_overs}"),
        ("makespan", over, f"{bound}; took {figures.makespan:.1f} s"),
        ("idle while work waited", number(figures.idle_seconds, "s"), "of one slot"),
        ("cost", number(cost, "s"), "of a member, a thousand jobs"),
        ("wasted", number(wasted, "%"), "done again, or idle with work"),
    ]
    return "".join(
        f"<div class='tile'><h3>{name}</h3><p class='value'>{value}</p><p>{note}</p></div>"
        for name, value, note in tiles
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100


def _recovery_note(verdict: Verdict) -> str:
    judged = [one.against for one in verdict.figures.strike_figures if one.against]
    if not judged:
        return "no strike had to be recovered from"
    counts = [(judged.count(word), word) for word in ("as predicted", "sooner", "later")]
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def _findings(findings: list[Finding]) -> str:
    if not findings:
        return ""
    rows = "".join(_finding(one) for one in findings[:SHOWN])
    more = len(findings) - SHOWN
    rest = f"<p>and {more} more in verdict.json</p>" if more > 0 else ""
    return f'<section class="card findings"><h2>Findings</h2><ul>{rows}</ul>{rest}</section>'


def _finding(one: Finding) -> str:
    sign = "✘" if one.level == "broken" else "?"
    places = " ".join(f"<code>{escape(place)}</code>" for place in one.evidence)
    return (
        f'<li class="{one.level}"><b><span aria-hidden="true">{sign}</span> {one.name}</b>'
        f"<span>{escape(one.says)}</span><span class='places'>{places}</span></li>"
    )


def _strikes(figures: list[StrikeFigure]) -> str:
    if not figures:
        return "<p>No strikes were planned.</p>"
    return _table(STRIKE_HEADS, [_strike(one) for one in figures])


def _table(heads: Sequence[str], rows: list[list[str]]) -> str:
    """Return a table; on a narrow screen each cell stands on a line of its own, after its head."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{_cells(heads, row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(heads: Sequence[str], row: list[str]) -> str:
    pairs = zip(heads, row, strict=True)
    return "".join(f'<td data-head="{name}"><span>{cell}</span></td>' for name, cell in pairs)


def _parked(facts: Facts) -> str:
    """Return the section about jobs that were set aside, or nothing."""
    if not facts.parkings:
        return ""
    rows = [
        [
            f"<code>{escape(one.job)}</code>",
            f"{one.at - facts.began:.2f} s",
            str(one.crashes),
            ", ".join(f"<code>{escape(member)}</code>" for member in one.members),
        ]
        for one in (entry.line for entry in facts.parkings)
    ]
    table = _table(("job", "at", "crashes", "of members"), rows)
    says = "<p class='hint'>Set aside by the steward; fleet quarantine shows and redrives them.</p>"
    return f'<section class="card parked"><h2>Parked jobs</h2>{table}{says}</section>'


def _keys(facts: Facts) -> str:
    """Return the section about keys, or nothing where jobs have none."""
    rows = [
        [
            f"<code>{escape(one.key)}</code>", str(one.jobs), str(one.starts),
            f"{100 * one.share:.0f} %", _seconds(one.median), _seconds(one.longest),
        ]
        for one in key_shares(facts)
    ]  # fmt: skip
    if not rows:
        return ""
    table = _table(("key", "jobs", "starts", "share", "median wait", "longest wait"), rows)
    says = "<p class='hint'>Starts and shares while jobs of all keys waited.</p>"
    return f'<section class="card keys"><h2>Shares of the keys</h2>{table}{says}</section>'


def _strike(one: StrikeFigure) -> list[str]:
    predicted = f"{one.predicted_low:.3g} to {one.predicted_high:.3g} s" if one.way else NONE
    said = f"{SAID[one.against]} {one.against}" if one.against else ""
    return [
        str(one.strike), f"{one.at:.2f} s", escape(one.fault), escape(one.target), str(one.held),
        str(one.interrupted), _seconds(one.seconds), predicted, f"{escape(one.way)} {said}",
    ]  # fmt: skip


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g} s"


def _made(facts: Facts) -> str:
    writers = len({entry.line.who for entry in facts.evidence.lines})
    records = len(facts.evidence.records.records) if facts.evidence.records else 0
    server = facts.evidence.records.server if facts.evidence.records else "no server"
    return escape(
        f"Two sources reconciled: {len(facts.evidence.lines)} journal lines of {writers} "
        f"processes, and {records} records of {server}."
    )

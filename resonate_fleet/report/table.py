"""The verdict as a short table for the terminal."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from resonate_fleet.contract.screen import plain
from resonate_fleet.report.verdict import SIGNS, Guarantee, Verdict

#: Findings beyond this are counted; verdict.json has them all.
SHOWN = 12
STYLES = {"PASS": "bold black on cyan", "FAIL": "bold white on red"}


def table(verdict: Verdict) -> Group:
    style = STYLES.get(verdict.verdict, "bold black on yellow")
    head = Text.assemble(
        (f" {SIGNS[verdict.verdict]} {verdict.verdict} ", style), "  ", verdict.says
    )
    parts: list[Text | Table] = [head, _figures(verdict)]
    if verdict.figures.strike_figures:
        parts.append(_strikes(verdict))
    if verdict.findings:
        parts.append(_findings(verdict))
    return Group(*parts)


def _figures(verdict: Verdict) -> Table:
    shown = Table.grid(padding=(0, 2))
    shown.add_row("", Text("found", style="bold"), Text("limit", style="bold"))
    for one in verdict.guarantees:
        shown.add_row(one.guarantee, _number(one.found), _promised(one))
    figures = verdict.figures
    for name, value in (
        ("work done again, s", figures.redone_seconds),
        ("idle while work waited, slot-s", figures.idle_seconds),
        ("hand-over p50, s", figures.hand_over.p50),
        ("queue wait p95, s", figures.queue_wait.p95),
        ("worker-s a thousand jobs", figures.worker_seconds_per_thousand_jobs),
    ):
        shown.add_row(name, _number(value), "")
    return shown


def _promised(one: Guarantee) -> Text:
    if one.limit is None:
        return Text("not judged", style="dim")
    sign = "✔" if one.kept else "✘"
    return Text(f"≤ {one.limit:g} {sign}", style="" if one.kept else "bold red")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"  # noqa: RUF001 - a dash for no figure


def _strikes(verdict: Verdict) -> Table:
    shown = Table(title="strikes", title_justify="left", box=None, pad_edge=False)
    for name in ("at, s", "fault", "target", "held", "recovered, s", "predicted, s", ""):
        shown.add_column(name, overflow="fold", no_wrap=name in ("at, s", "held", "predicted, s"))
    for one in verdict.figures.strike_figures:
        predicted = f"{one.predicted_low:g} to {one.predicted_high:g}" if one.way else _number(None)
        shown.add_row(
            f"{one.at:.1f}",
            one.fault,
            plain(one.target),
            str(one.held),
            _number(one.seconds),
            predicted,
            one.against or "",
        )
    return shown


def _findings(verdict: Verdict) -> Table:
    shown = Table(title="findings", title_justify="left", box=None, pad_edge=False)
    for name in ("finding", "what", "where"):
        shown.add_column(name, overflow="fold")
    for one in verdict.findings[:SHOWN]:
        style = "bold red" if one.level == "broken" else "bold yellow"
        where = plain(", ".join(one.evidence[:2]))
        shown.add_row(Text(one.name, style=style), plain(one.says), where)
    if len(verdict.findings) > SHOWN:
        shown.add_row("", f"and {len(verdict.findings) - SHOWN} more in verdict.json", "")
    return shown

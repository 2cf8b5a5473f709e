"""Foreign text in what the report makes: it is shown, and does nothing."""

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from resonate_fleet.contract.shown import clean
from resonate_fleet.report.assembly import facts_of
from resonate_fleet.report.evidence import read_evidence
from resonate_fleet.report.findings import CATALOGUE, Finding
from resonate_fleet.report.html import page
from resonate_fleet.report.table import table
from resonate_fleet.report.verdict import judge
from tests.support.runs import play


@pytest.mark.parametrize("foreign", ["[/nope]<b>", "a\x1b[2J<script>", "\u202e[red]&\x00"])
def test_findings_with_foreign_text(foreign: str, tmp_path: Path) -> None:
    facts = facts_of(read_evidence(play(jobs=5).write(tmp_path)))
    name = next(iter(CATALOGUE))
    found = Finding(name=name, level="broken", says=foreign, evidence=[foreign])
    verdict = msgspec.structs.replace(judge(facts), findings=[found])
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=True, color_system=None).print(table(verdict))
    assert clean(foreign) in out.getvalue()
    html = page(facts, verdict)
    for text in (out.getvalue(), html):
        assert not set("\x1b\x00\u202e") & set(text)
    assert "<script>a" not in html

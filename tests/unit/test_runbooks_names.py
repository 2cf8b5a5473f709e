"""What the runbooks name exists: log lines, metrics, settings, panels."""

import re
from pathlib import Path

import pytest

from resonate_fleet.contract.journal import KINDS
from resonate_fleet.contract.settings import declared
from tests.support.queries import DASHBOARDS, panels, rules
from tools.docs import METRICS, SETTINGS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/runbooks").glob("Fleet*.md"))
CODE = "\n".join(path.read_text() for path in (ROOT / "resonate_fleet").rglob("*.py"))


def log_lines() -> set[str]:
    journal = {str(kind.__struct_config__.tag) for kind in KINDS}
    return journal | set(re.findall(r'\blog\.\w+\(\s*"([a-z]+\.[a-z-]+)"', CODE))


def metrics() -> set[str]:
    exported = {name for _, table in METRICS for one in table for name in (one.name, *one.exported)}
    return exported | {str(rule["record"]) for rule in rules() if "record" in rule}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_runbook_names_exists(page: Path) -> None:
    text = page.read_text()
    inline = re.findall(r"`([^`\n]+)`", text)
    commands = re.findall(r"^ *\$ (.+)$", text, re.MULTILINE)
    words = {word for code in [*inline, *commands] for word in re.split(r"[\s\"'|\\^$=]+", code)}
    known = log_lines()
    protocol = {f"{kind}.{name}" for kind, name in re.findall(r'"(task|promise)\.(\w+)"', CODE)}
    for word in words:
        if re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", word) and not word.endswith(".log"):
            assert word in known | protocol, f"no log line {word}"
        if re.fullmatch(r"fleet[_:][a-z_]+", word):
            assert any(name.startswith(word) for name in metrics()), f"no metric {word}"
    settings = {one.env for _, cls in SETTINGS for _, one in declared(cls)}
    for name in re.findall(r"\b(?:WORKER|STEWARD|CLIENT|RESONATE)_[A-Z_]+\b", text):
        assert name in settings or f"${name}" in text, f"no setting {name}"
    titles = {panel["title"] for path in DASHBOARDS for panel in panels(path)}
    for title in re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", text):
        assert title in titles, f"no panel {title}"

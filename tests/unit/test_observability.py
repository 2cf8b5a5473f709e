"""What is watched exists: queries name exported metrics and labels, alerts are explained."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from resonate_fleet.contract.instruments import Instrument
from tests.support.manifests import ROOT
from tests.support.queries import DASHBOARDS, QUERIES, RULES, alerts, panels, rules
from tests.support.services import need
from tools.docs import METRICS

RULE_TESTS = ROOT / "observability/prometheus/tests/fleet_test.yaml"

#: Labels that the scrape gives: identity never stands in the metrics themselves.
SCRAPED = {"job", "instance", "pod", "group"}


def exported() -> dict[str, set[str]]:
    """Return every series name with the labels that it may have."""
    found: dict[str, set[str]] = {"up": set(SCRAPED)}
    for _, instruments in METRICS:
        one: Instrument
        for one in instruments:
            for name in one.exported:
                found[name] = set(one.labels) | SCRAPED | ({"le"} if one.buckets else set())
    for rule in rules():
        if "record" in rule:
            found[rule["record"]] = SCRAPED | {"outcome"}
    return found


def selectors(node: Any) -> Iterator[Any]:
    """Yield the vector selectors of a parsed query."""
    if type(node).__name__ == "VectorSelector":
        yield node
    for part in ("lhs", "rhs", "expr", "vector_selector", "param"):
        if getattr(node, part, None) is not None:
            yield from selectors(getattr(node, part))
    for argument in getattr(node, "args", None) or []:
        yield from selectors(argument)


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
def test_a_query_names_what_is_exported(where: str, query: str) -> None:
    known = exported()
    found = list(selectors(promql_parser.parse(query)))
    assert found, f"{where} looks at nothing"
    for selector in found:
        assert selector.name in known, f"{where}: {selector.name} is not exported"
        for matcher in selector.matchers.matchers:
            assert matcher.name in known[selector.name], f"{where}: no label {matcher.name}"
    for labels in re.findall(r"(?:by|on) \(([^)]*)\)", query):
        for label in filter(None, (one.strip() for one in labels.split(","))):
            assert any(label in known[s.name] for s in found), f"{where}: no label {label}"


def test_a_dead_query_is_found_out() -> None:
    with pytest.raises(AssertionError, match="promises_total is not exported"):
        test_a_query_names_what_is_exported("upstream", "sum(rate(promises_total[5m]))")
    with pytest.raises(AssertionError, match="no label worker"):
        test_a_query_names_what_is_exported("typo", 'sum(fleet_members{worker="a"})')


def test_every_family_is_looked_at_somewhere() -> None:
    """A metric that no query and no page names helps nobody at night."""
    text = " ".join(query for _, query in QUERIES)
    pages = " ".join(p.read_text() for p in (ROOT / "docs").rglob("*.md"))
    for _, instruments in METRICS:
        for one in instruments:
            assert any(name in text for name in one.exported) or one.name in pages, one.name


def test_every_alert_has_severity_summary_and_a_runbook_that_says_what_to_do() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in ("critical", "warning"), alert["alert"]
        assert alert["annotations"]["summary"].endswith("."), alert["alert"]
        page = ROOT / alert["annotations"]["runbook"]
        text = page.read_text()
        assert page.stem == alert["alert"]
        for part in ("**Meaning.**", "**Look at", "**Do", "**Reproduce.**"):
            assert part in text, (page, part)


def test_every_runbook_has_its_alert_and_names_scenarios_that_exist() -> None:
    names = {alert["alert"] for alert in alerts()}
    pages = {page.stem: page.read_text() for page in (ROOT / "docs/runbooks").glob("Fleet*.md")}
    assert pages.keys() == names
    shipped = {path.stem for path in (ROOT / "resonate_fleet/chaos/scenarios").glob("*.toml")}
    for name, text in pages.items():
        for scenario in re.findall(r"fleet chaos run ([\w-]+)", text):
            assert scenario in shipped, (name, scenario)


def test_symptoms_come_before_causes() -> None:
    groups = [group["name"] for group in yaml.safe_load(RULES.read_text())["groups"]]
    assert groups == ["fleet-records", "fleet-symptoms", "fleet-causes"]


def promtool(*args: str) -> None:
    need(shutil.which("promtool") is not None, "promtool is not installed")
    done = subprocess.run(["promtool", *args], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", str(RULES))


def test_each_alert_fires_and_is_silent_when_it_should() -> None:
    promtool("test", "rules", str(RULE_TESTS))


def test_each_alert_has_a_firing_and_a_silent_test() -> None:
    cases = [
        case
        for test in yaml.safe_load(RULE_TESTS.read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    fires = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert fires == silent == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_readable(path: Any) -> None:
    board = json.loads(path.read_text())
    shown = panels(path)
    assert 1 <= len(shown) <= 16
    assert len([p for p in board["panels"] if p["type"] == "row"]) <= 4
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in shown:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs), panel["title"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_neither_overlap_nor_leave_the_page(path: Any) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text())["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells


def test_the_fleet_dashboard_can_be_narrowed_to_group_and_pod() -> None:
    board = json.loads((ROOT / "observability/grafana/dashboards/fleet.json").read_text())
    names = [one["name"] for one in board["templating"]["list"]]
    assert names == ["datasource", "group", "pod"]
    worker = [q for where, q in QUERIES if where.startswith("fleet: ") and "fleet_worker_" in q]
    assert worker
    for query in worker:
        for selector in selectors(promql_parser.parse(query)):
            matched = {matcher.name for matcher in selector.matchers.matchers}
            assert {"group", "pod"} <= matched, query

"""The dashboards keep to the rules that docs/observability.md says they keep to."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.manifests import ROOT
from tests.support.queries import DASHBOARDS, alerts, panels

GRAFANA = ROOT / "observability/grafana"
FLEET = GRAFANA / "dashboards/fleet.json"
#: What a query looks at or does, and the unit that goes with it; the first that fits counts.
UNITS = (
    (r"histogram_quantile.*_seconds_bucket|_age_seconds", {"s"}),
    (r"^(1 - )?sum.*\) / sum", {"percentunit"}),
    (r"increase\(|^(clamp_min\()?(sum|max).*_total\b(?!\[)", {"short"}),
    (r"rate\(", {"ops", "reqps"}),
    (r"^(sum|max)\(", {"short"}),
)


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def every_panel() -> list[Any]:
    return [
        pytest.param(panel, id=f"{path.stem}: {panel['title']}")
        for path in DASHBOARDS
        for panel in panels(path)
    ]


def defaults(panel: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = panel["fieldConfig"]["defaults"]
    return found


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_found_linked_and_not_edited_by_hand(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"] == f"resonate-{path.stem}"
    assert board["description"].endswith(".")
    assert "resonate" in board["tags"]
    assert board["editable"] is False
    (link,) = board["links"]
    assert (link["type"], link["tags"], link["keepTime"]) == ("dashboards", ["resonate"], True)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_nothing_is_asked_for_faster_than_it_is_scraped(path: Path) -> None:
    scraped = yaml.safe_load((ROOT / "observability/prometheus/prometheus.yml").read_text())
    every = seconds(scraped["global"]["scrape_interval"])
    assert seconds(json.loads(path.read_text())["refresh"]) >= every
    provided = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())
    # Grafana makes `$__rate_interval` of this; below the scrape interval rates would be empty.
    assert seconds(provided["datasources"][0]["jsonData"]["timeInterval"]) == every


def test_the_rows_are_questions_and_the_first_is_about_what_users_feel() -> None:
    board = json.loads(FLEET.read_text())["panels"]
    rows = [panel for panel in board if panel["type"] == "row"]
    assert len(rows) == 4
    assert all(row["title"].endswith("?") for row in rows)
    assert board[0] is rows[0]
    first = board[1 : board.index(rows[1])]
    assert (first[0]["gridPos"]["x"], first[0]["gridPos"]["y"]) == (0, 1)
    for panel in first:
        for target in panel["targets"]:
            assert re.search(r"fleet_(jobs_|oldest_|members)", target["expr"]), panel["title"]


@pytest.mark.parametrize("panel", every_panel())
def test_a_panel_has_the_unit_of_what_it_shows(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        bare = re.sub(r"{[^}]*}", "", target["expr"]).removeprefix("round(")
        fits = next(units for pattern, units in UNITS if re.search(pattern, bare))
        assert defaults(panel)["unit"] in fits, target["expr"]


@pytest.mark.parametrize("panel", every_panel())
def test_a_panel_can_be_read_without_guessing(panel: dict[str, Any]) -> None:
    shown = defaults(panel)
    assert len(panel["description"].split()) >= 3
    if panel["type"] != "timeseries":
        return
    assert shown["min"] == 0, "an axis that starts elsewhere makes molehills mountains"
    assert shown["unit"] != "percentunit" or shown["max"] == 1
    assert panel["options"]["legend"]["showLegend"]
    assert all(target["legendFormat"] for target in panel["targets"])
    limits = len(shown["thresholds"]["steps"]) > 1
    assert limits == ("thresholdsStyle" in shown["custom"]), "a limit is drawn, or there is none"


@pytest.mark.parametrize("panel", every_panel())
def test_only_what_adds_up_is_stacked(panel: dict[str, Any]) -> None:
    if defaults(panel).get("custom", {}).get("stacking", {}).get("mode", "none") == "none":
        return
    for target in panel["targets"]:
        assert target["expr"].startswith("sum")
        assert "histogram_quantile" not in target["expr"]
        assert ") / " not in target["expr"]
        assert "outcome" not in target["expr"].partition("(")[0], "few bad ones would be hidden"


@pytest.mark.parametrize("panel", every_panel())
def test_no_data_source_is_named_that_may_not_be_there(panel: dict[str, Any]) -> None:
    wanted = {"type": "prometheus", "uid": "${datasource}"}
    assert panel["datasource"] == wanted
    assert all(target["datasource"] == wanted for target in panel["targets"])


def test_a_job_is_too_old_where_its_alert_says_so() -> None:
    (alert,) = (one for one in alerts() if one["alert"] == "FleetOldestWaitingTooOld")
    (panel,) = (one for one in panels(FLEET) if one["title"] == "Oldest waiting job")
    assert f"> {defaults(panel)['thresholds']['steps'][-1]['value']}" in alert["expr"]

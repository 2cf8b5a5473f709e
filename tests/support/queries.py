"""Every query that the project ships, and when each is to give data."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.manifests import ROOT

RULES = ROOT / "observability/prometheus/rules/fleet.yaml"
DASHBOARDS = sorted((ROOT / "observability/grafana/dashboards").glob("*.json"))
#: What Grafana fills in.
VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "15m",
    "$group": ".*",
    "$pod": ".*",
}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def panels(path: Path) -> list[dict[str, Any]]:
    return [p for p in json.loads(path.read_text())["panels"] if p["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Yield where each query stands, and the query with Grafana's variables filled in."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for path in DASHBOARDS:
        for panel in panels(path):
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", _filled_in(target["expr"])
        yield from _variables(path)
    for kind in ("keda/scaledobject", "hpa-external/hpa"):
        manifest = yaml.safe_load((ROOT / f"k8s/components/{kind}.yaml").read_text())
        for trigger in manifest["spec"].get("triggers", []):
            yield kind, trigger["metadata"]["query"]


def _variables(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what fills a dashboard's own choices: each asks for the values of a label."""
    for one in json.loads(path.read_text())["templating"]["list"]:
        if one["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"]["query"])
            assert found, f"{path.stem}: {one['name']} asks for something else"
            series, label = found.groups()
            yield (
                f"{path.stem} variable: {one['name']}",
                f"count by ({label}) ({_filled_in(series)})",
            )


def _filled_in(expr: str) -> str:
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    return expr


QUERIES = list(queries())
#: Queries that give nothing while all is well, by where they stand: alerts, and these panels.
QUIET = {alert["alert"] for alert in alerts()} | {"server: Requests refused"}


def dumb(ask: Callable[[str], Collection[Any]]) -> set[str]:
    """Return where the queries stand that give nothing; `ask` returns what a query finds."""
    return {where for where, query in QUERIES if not ask(query)}

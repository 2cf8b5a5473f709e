"""Plots the dashboard from a real run: a Prometheus beside it, the panels' own queries, one SVG."""

import json
import math
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from resonate_fleet.commands.scraping import DISCOVERS_EVERY, Asked, Prometheus, program
from resonate_fleet.contract import exits
from resonate_fleet.contract.journal import Confirmed, RunEnded, read_folder
from resonate_fleet.contract.run import RunFolder
from resonate_fleet.report.board import board
from resonate_fleet.report.panels import Series

BOARD: Final = Path(__file__).parents[2] / "observability/grafana/dashboards/fleet.json"
#: What is run: every kind of fault, so that there is something to see.
SCENARIO: Final = "everything-at-once"
#: Seconds between two scrapes, and what Grafana would make of that for `$__rate_interval`.
EVERY: Final = 1.0
RATE_INTERVAL: Final = "5s"
#: Values of a curve: about what a panel of the picture has pixels for.
POINTS: Final = 240
#: Seconds shown before the load.
BEFORE: Final = 2.0
#: Longest wait for the run's first member, in seconds.
PATIENCE: Final = 60.0


def make(seed: int, out: Path, folder: Path) -> int:
    """Do a run, plot it into `out`/dashboard.svg; return the exit code of the run.

    Raises:
        NoPrometheus: there is none, or it does not answer.
    """
    program()
    lead = str(2 * DISCOVERS_EVERY)
    asked = ["chaos", "run", SCENARIO, "--seed", str(seed), "--lead", lead, "--runs"]
    line = [sys.executable, "-m", "resonate_fleet", *asked, str(folder / "runs")]
    with subprocess.Popen(line) as run:  # noqa: S603 - this very command
        root = _begun(run, folder / "runs")
        if root is None:
            return run.wait() or exits.FAILED
        with Prometheus(folder / "prometheus", root.targets, EVERY, None) as prometheus:
            code = run.wait()
            begin, end = _span(root)
            found = picture(prometheus, begin, end, f"{SCENARIO}, seed {seed}, on processes")
    out.mkdir(parents=True, exist_ok=True)
    (out / "dashboard.svg").write_text(found, encoding="utf-8")
    sys.stdout.write(f"{out / 'dashboard.svg'}\n")
    return code


def _begun(run: subprocess.Popen[bytes], runs: Path) -> RunFolder | None:
    """Return the run's folder once a member is up, None where none comes."""
    end = time.monotonic() + PATIENCE
    while run.poll() is None and time.monotonic() < end:
        for file in runs.glob("*/targets/worker.json"):
            if json.loads(file.read_bytes()):
                return RunFolder(file.parents[2])
        time.sleep(0.05)
    run.terminate()
    return None


def _span(root: RunFolder) -> tuple[float, float]:
    lines = read_folder(root.journal)
    sent = [line.at for line in lines if isinstance(line, Confirmed)]
    ended = [line.at for line in lines if isinstance(line, RunEnded)]
    return min(sent, default=0.0) - BEFORE, max(ended, default=0.0)


def picture(prometheus: Asked, begin: float, end: float, what: str) -> str:
    """Return the dashboard with what its queries find between two Unix times."""
    dashboard = json.loads(BOARD.read_text(encoding="utf-8"))
    step = max(EVERY / 2, (end - begin) / POINTS)
    count = math.floor((end - begin) / step) + 1
    times = [n * step for n in range(count)]
    found = {
        panel["id"]: [
            series
            for target in panel["targets"]
            for series in ask(prometheus, target, begin, times)
        ]
        for panel in dashboard["panels"]
        if "targets" in panel
    }
    says = f"{what}: every panel's own query, from a Prometheus that scraped the run"
    return board(dashboard, found, times, says)


def ask(
    prometheus: Asked, target: dict[str, Any], begin: float, times: list[float]
) -> list[Series]:
    """Return the series of one query of a panel, by the names that its legend gives them."""
    expr = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
    expr = expr.replace("$__range", f"{times[-1]:.0f}s")
    expr = re.sub(r"\$(group|pod)\b", ".*", expr)
    step = times[1] - times[0]
    if target.get("instant"):
        answer = prometheus.query_range(expr, begin + times[-1], begin + times[-1], step)
    else:
        answer = prometheus.query_range(expr, begin, begin + times[-1], step)
    found = [_series(one, target["legendFormat"], begin, times) for one in answer]
    return sorted(found, key=lambda one: one.name)


def _series(one: dict[str, Any], legend: str, begin: float, times: list[float]) -> Series:
    name = re.sub(r"{{\s*(\w+)\s*}}", lambda m: one["metric"].get(m[1], ""), legend)
    step = times[1] - times[0]
    values: list[float | None] = [None] * len(times)
    for at, value in one["values"]:
        number = float(value)
        if math.isfinite(number):
            values[min(round((at - begin) / step), len(times) - 1)] = number
    return Series(name=name, values=values)

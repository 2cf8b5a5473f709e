"""Each alert fires in the shipped scenario that its runbook names, and none in a quiet demo.

The runs are those that anybody has by `fleet chaos run` and `fleet demo`, with a real Prometheus
beside them; only the windows of the rules are shorter (tests/support/prometheus.py).
"""

import json
import re
import time
from collections import defaultdict
from pathlib import Path

import pytest

from resonate_fleet.contract import exits
from resonate_fleet.contract.journal import RunEnded, read_folder
from resonate_fleet.contract.run import RunFolder
from tests.support.manifests import ROOT
from tests.support.processes import Process, Processes
from tests.support.prometheus import DISCOVERS_EVERY, QUIET, SHORT, Override, Prometheus
from tests.support.queries import alerts
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SEED = "7"


def reproduced_by() -> dict[str, set[str]]:
    """Return the alerts by the scenario that comes first in the runbook's last part."""
    found: dict[str, set[str]] = defaultdict(set)
    for page in sorted((ROOT / "docs/runbooks").glob("Fleet*.md")):
        _, _, last = page.read_text().partition("**Reproduce.**")
        scenario = re.search(r"fleet chaos run ([\w-]+)", last)
        assert scenario, f"{page.name} names no scenario"
        found[scenario[1]].add(page.stem)
    return dict(found)


SCENARIOS = reproduced_by()


class Watch:
    """A run with a Prometheus beside it. `fired` and `pending` are what it saw until the end."""

    def __init__(self, run: Process, prometheus: Prometheus, folder: RunFolder) -> None:
        self.run = run
        self.prometheus = prometheus
        self.folder = folder
        self.fired: set[str] = set()
        self.pending: set[str] = set()
        self.members = 0.0

    def follow(self) -> int:
        """Look until the run ends its processes, of which alerts would tell; return its code."""
        while self.run.running and not self._over():
            self.fired |= self.prometheus.alerts("firing")
            self.pending |= self.prometheus.alerts("pending")
            self.members = max(self.members, self.prometheus.value("sum(fleet_members)"))
            time.sleep(0.1)
        return self.run.wait(60)

    def _over(self) -> bool:
        return any(isinstance(line, RunEnded) for line in read_folder(self.folder.journal))


def watch(processes: Processes, folder: Path, override: Override, *command: str) -> Watch:
    """Begin a run of the `fleet` command, with a Prometheus from its first member's start on.

    Everybody's address is known by then, and scraped after `DISCOVERS_EVERY`.
    """
    runs = folder / "runs"
    run = processes.room("fleet", "run", {}, *command, "--runs", str(runs))
    root = RunFolder(wait_until(lambda: members(runs), 60, "a member is up").parents[1])
    prometheus = Prometheus(processes, folder / "prometheus", root.targets, override)
    return Watch(run, prometheus, root)


def members(runs: Path) -> Path | None:
    """Return the file that says where members can be scraped, once there are any."""
    files = runs.glob("*/targets/worker.json")
    return next((file for file in files if json.loads(file.read_text())), None)


@pytest.mark.long
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_shipped_scenario_fires_its_alerts(
    scenario: str, processes: Processes, tmp_path: Path
) -> None:
    command = ("chaos", "run", scenario, "--seed", SEED, "--lead", f"{DISCOVERS_EVERY + 2:g}")
    seen = watch(processes, tmp_path, SHORT, *command)
    assert seen.follow() == exits.OK, seen.run.out.read_text()  # judged: PASS
    assert seen.fired >= SCENARIOS[scenario], f"fired: {seen.fired}, pending: {seen.pending}"


def test_every_alert_is_fired_by_some_scenario() -> None:
    assert set().union(*SCENARIOS.values()) == {one["alert"] for one in alerts()}


#: An alert whose condition holds throughout: it must have had the time to fire.
CONTROL = r"""  - name: control
    rules:
      - alert: Control
        expr: vector(1)
        for: 1m
"""


def test_a_quiet_demo_fires_nothing(processes: Processes, tmp_path: Path) -> None:
    override = ((r"\Z", CONTROL), *QUIET)
    seen = watch(processes, tmp_path, override, "demo", "--kill", "0", "--scale", "0.7")
    assert seen.follow() == exits.OK, seen.run.out.read_text()
    assert seen.members == 3, "Prometheus saw the demo"
    assert seen.fired == {"Control"}, f"pending: {seen.pending}"

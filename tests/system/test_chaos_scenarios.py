"""The short scenarios on processes, judged: what every submission has to survive.

One runs everywhere, the others in CI.
"""

import json
from pathlib import Path

import pytest

from resonate_fleet.chaos import scenario
from resonate_fleet.contract import exits
from tests.support.processes import run_room
from tests.system.test_prometheus_alerts import SCENARIOS as WATCHED

QUICK = "one-kill"
#: Measured (docs/measurements), not run here.
LONG = ("everything-at-once", "kill-wave", "rolling-restart")
SHORT = sorted({*scenario.shipped()} - {QUICK, *WATCHED, *LONG})
SEED = "7"

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    "name", [QUICK, *(pytest.param(name, marks=pytest.mark.long) for name in SHORT)]
)
def test_a_short_scenario_passes(name: str, tmp_path: Path) -> None:
    command = ("chaos", "run", name, "--seed", SEED, "--runs", str(tmp_path))
    done = run_room("fleet", *command, timeout=240)
    told = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == exits.OK, told
    (place,) = (line for line in done.stdout.splitlines() if line.startswith("the whole story: "))
    root = Path(place.removeprefix("the whole story: ")).parent
    verdict = json.loads((root / "verdict.json").read_text(encoding="utf-8"))
    assert (verdict["verdict"], verdict["findings"]) == ("PASS", []), told
    assert verdict["figures"]["strikes"] == len(scenario.read(scenario.find(name)).strikes)

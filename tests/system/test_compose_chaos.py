"""The shipped scenarios on Docker Compose: the same files, the same judge as on processes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from contract import exits
from contract.run import RunFolder
from tests.support.compose import ROOT, Stack, need_containers
from tests.support.processes import clean_env

pytestmark = [pytest.mark.containers, pytest.mark.system, pytest.mark.timeout(300)]

#: Longest recovery in seconds where one is promised: that on processes (1.5 at worst) and a second
#: for the container runtime. The other scenarios are judged by their own promises alone.
SCENARIOS = {
    "one-kill": 2.5,
    "drain": None,
    "freeze": None,
    "partition": None,
    "server-restart": None,
    "rolling-restart": None,
    "tests/system/scale-3-5-2.toml": None,
}


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    need_containers()
    Stack().compose("--profile", "*", "build", "--quiet", timeout=600)


def chaos(scenario: str, runs: Path) -> subprocess.CompletedProcess[str]:
    project = f"fleet-chaos-{uuid4().hex[:8]}"
    command = [
        sys.executable,
        "-m",
        "fleet",
        "chaos",
        "run",
        scenario,
        "--on",
        "compose",
        "--strike",
    ]
    command += ["--seed", "11", "--runs", str(runs), "--project", project]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=clean_env(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_passes_on_compose(name: str, tmp_path: Path) -> None:
    done = chaos(name, tmp_path)
    assert done.returncode == exits.OK, f"{done.stdout}\n{done.stderr}"
    (folder,) = (RunFolder(one) for one in tmp_path.iterdir())
    verdict: dict[str, Any] = json.loads(folder.verdict.read_text(encoding="utf-8"))
    assert verdict["verdict"] == "PASS"
    assert verdict["place"] == "compose"
    figures = verdict["figures"]
    assert figures["strikes"] >= 1
    assert figures["lost"] == figures["doubled"] == 0
    bar = SCENARIOS[name]
    if bar is not None:
        assert 0 < figures["recovery"]["max"] <= bar

"""Chaos from this machine against a fleet in the cluster."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.cluster.conftest import TEST_SECONDS, ClusterFleet
from tests.support.processes import room_command


def passes(
    fleet: ClusterFleet, scenario: str, folder: Path, token: Path | None = None
) -> dict[str, Any]:
    """Run a scenario with its strikes; return the verdict, which must be PASS."""
    done = subprocess.run(
        [
            *(*room_command("fleet"), "chaos", "run", scenario),
            *("--on", "kubernetes", "--strike", "--seed", "7", "--namespace", fleet.namespace),
            *("--runs", str(folder)),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=TEST_SECONDS,
        env={**os.environ, **({"RESONATE_TOKEN_FILE": str(token)} if token else {})},
    )
    found = sorted(folder.glob("*/verdict.json"))
    assert found, f"exit code {done.returncode}: {done.stdout}\n{done.stderr}"
    verdict: dict[str, Any] = json.loads(found[-1].read_text())
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert verdict["verdict"] == "PASS", verdict
    assert verdict["place"] == "kubernetes"
    return verdict

"""Checkov, a checker of manifests that others keep, has no complaint without a reason."""

import json
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import COMPONENTS, Tree
from tests.support.services import need

#: Also in .ci/tools, which fetches it before the tests.
CHECKOV = "checkov==3.3.30"
CHECK_SECONDS = 600

#: Why a check does not hold, and where: `*` stands for every pod.
REASONS: dict[str, tuple[str, set[str]]] = {
    "CKV_K8S_11": ("a CPU limit throttles a heartbeat; requests share the node fairly", {"*"}),
    "CKV_K8S_15": ("tags name versions that never change; local images are loaded by hand", {"*"}),
    "CKV_K8S_43": ("an overlay pins digests of the registry that it pulls from", {"*"}),
    "CKV_K8S_35": (
        "passwords are read from the environment alone; two tokens are optional there",
        {"Deployment.server", "Deployment.steward", "StatefulSet.postgres", "Job.chaos"},
    ),
    "CKV_K8S_38": (
        "scale-in writes to pods, chaos looks at and deletes pods, the Job makes a Secret",
        {"Deployment.steward", "Job.chaos", "Job.presence-secret"},
    ),
    "CKV_K8S_40": ("the image's own user is 999", {"StatefulSet.postgres"}),
}


def complaints(file: Path) -> dict[str, set[str]]:
    """Return the resources that fail each check."""
    command = ["uvx", "--from", CHECKOV, "checkov", "--file", str(file)]
    options = ["--framework", "kubernetes", "--skip-download", "--quiet", "--output", "json"]
    done = subprocess.run(
        [*command, *options], check=False, capture_output=True, text=True, timeout=CHECK_SECONDS
    )
    need(done.stdout.startswith("{"), f"checkov cannot be had here: {done.stderr[-300:]}")
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 100
    found: dict[str, set[str]] = defaultdict(set)
    for one in report["results"]["failed_checks"]:
        kind, _, name = one["resource"].split(".")
        found[one["check_id"]].add(f"{kind}.{name}")
    return dict(found)


@pytest.mark.system
@pytest.mark.timeout(CHECK_SECONDS)
def test_the_checker_has_no_complaint_without_a_reason(tmp_path: Path) -> None:
    need(shutil.which("uvx") is not None, "uvx is not installed")
    everything = Tree(tmp_path).with_components(*COMPONENTS)
    pods = {
        f"{one['kind']}.{one['metadata']['name']}"
        for one in everything
        if one["kind"] in ("Deployment", "StatefulSet", "Job")
    }
    file = tmp_path / "everything.yaml"
    file.write_text(yaml.safe_dump_all(everything))
    expected = {check: pods if "*" in where else where for check, (_, where) in REASONS.items()}
    assert complaints(file) == expected

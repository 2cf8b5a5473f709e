"""An image with functions of one's own keeps its word on Compose and on Kubernetes alike."""

import os
import shutil
import subprocess
from pathlib import Path

import yaml

from tests.support.docs_blocks import ROOT, run_by
from tests.support.images import compose
from tests.support.manifests import Tree, find
from tests.support.services import need

SETTING = "WORKER_FUNCTIONS"


def test_kubernetes_runs_the_image_that_an_overlay_names(tmp_path: Path) -> None:
    """The overlay that docs/kubernetes.md shows; kubernetes.md is read here."""
    (block,) = run_by("test_own_functions", ROOT / "docs" / "kubernetes.md")
    objects = Tree(tmp_path).overlay("functions", block.text)
    (container,) = find(objects, "Deployment", "worker")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "my-fleet/worker:1"
    assert SETTING not in {one["name"] for one in container["env"]}
    for one in objects:
        assert one["kind"] != "ConfigMap" or SETTING not in one.get("data", {})


def test_compose_runs_the_image_that_was_chosen(tmp_path: Path) -> None:
    need(shutil.which("docker") is not None, "no docker command")
    env = os.environ | {
        "COMPOSE_FILE": f"{ROOT}/compose.yaml:{ROOT}/compose.functions.yaml",
        "WORKER_IMAGE": "my-fleet/worker:1",
    }
    said = subprocess.run(
        ["docker", "compose", "config"], env=env, cwd=tmp_path, check=True, capture_output=True
    )
    worker = yaml.safe_load(said.stdout)["services"]["worker"]
    assert worker["image"] == "my-fleet/worker:1"
    assert "build" not in worker, "`up --build` would put our functions under that name"
    assert SETTING not in worker["environment"]


def test_compose_sets_no_functions_over_those_of_an_image() -> None:
    for path in ROOT.glob("compose*.yaml"):
        worker = compose(path)["services"].get("worker", {})
        assert SETTING not in worker.get("environment", {}), path.name

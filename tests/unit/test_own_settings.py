"""A policy and a token for acts, as the documents give them to Compose and to Kubernetes."""

import os
import shutil
import subprocess
from pathlib import Path

import yaml

from tests.support.docs_blocks import ROOT, run_by
from tests.support.manifests import Tree, find
from tests.support.services import need

POLICY = "[groups.worker-group.each-key]\nrunning = 10\n"


def test_kubernetes_gives_the_stewards_the_policy_of_an_overlay(tmp_path: Path) -> None:
    """kubernetes.md is read here."""
    (block,) = run_by("test_own_settings", ROOT / "docs" / "kubernetes.md")
    tree = Tree(tmp_path)
    (tree.folder / "k8s/overlays/ours").mkdir()
    (tree.folder / "k8s/overlays/ours/policy.toml").write_text(POLICY)
    objects = tree.overlay("ours", block.text)
    given = find(objects, "ConfigMap", "steward-policy")
    assert given["data"] == {"policy.toml": POLICY}
    pod = find(objects, "Deployment", "steward")["spec"]["template"]["spec"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert volumes["policy"]["configMap"]["name"] == given["metadata"]["name"]
    (container,) = pod["containers"]
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == "policy"]
    env = {one["name"]: one for one in container["env"]}
    assert env["STEWARD_POLICY"]["value"] == f"{mount['mountPath']}/policy.toml"
    secret = env["STEWARD_CONSOLE_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "steward-console", "key": "token", "optional": True}


def test_compose_takes_both_from_an_override(tmp_path: Path) -> None:
    """containers.md is read here."""
    need(shutil.which("docker") is not None, "no docker command")
    (block,) = run_by("test_own_settings", ROOT / "docs" / "containers.md")
    override = tmp_path / "compose.override.yaml"
    override.write_text(block.text)
    said = subprocess.run(
        ["docker", "compose", "config"],
        env=os.environ | {"COMPOSE_FILE": f"{ROOT}/compose.yaml:{override}"},
        check=True,
        capture_output=True,
    )
    steward = yaml.safe_load(said.stdout)["services"]["steward"]
    assert steward["environment"]["STEWARD_POLICY"] == "/policy.toml"
    targets = {one["target"] for one in [*steward["volumes"], *steward["secrets"]]}
    assert {"/policy.toml", "/journal", "console-token"} <= {
        t.split("/run/secrets/")[-1] for t in targets
    }

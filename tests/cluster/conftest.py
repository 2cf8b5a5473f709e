"""A fleet in the cluster that KUBECONFIG names; skipped, with the reason, where there is none.

RESONATE_SERVER_IMAGE names a server image that the cluster has, else the one of the base is used.
The images of the fleet (`docker compose build`) must be loaded into the cluster's nodes before.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import ROOT

NAMESPACE = "resonate-fleet"
ROLLOUT_SECONDS = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@dataclass
class ClusterFleet:
    """The overlay `local`, applied."""

    folder: Path

    def kubectl(self, *args: str, check: bool = True, seconds: float = ROLLOUT_SECONDS) -> str:
        done = subprocess.run(
            ["kubectl", "--namespace", NAMESPACE, *args],
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def pods(self, app: str) -> list[str]:
        selector = f"app.kubernetes.io/name={app}"
        field = "jsonpath={.items[*].metadata.name}"
        return self.kubectl("get", "pods", "-l", selector, "-o", field).split()

    def rolled_out(self, *names: str) -> None:
        for name in names:
            wait = f"--timeout={ROLLOUT_SECONDS}s"
            self.kubectl(
                "rollout", "status", f"deployment/{name}", wait, seconds=ROLLOUT_SECONDS + 9
            )

    def apply(self, *components: str) -> None:
        """Apply the overlay with these components added."""
        overlay = self.folder / "overlays/tested"
        overlay.mkdir(parents=True, exist_ok=True)
        kustomization: dict[str, object] = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": ["../local"],
            "components": [f"../../components/{name}" for name in components],
        }
        image = os.environ.get("RESONATE_SERVER_IMAGE")
        if image:
            name, _, tag = image.rpartition(":")
            kustomization["images"] = [
                {"name": "resonatehqio/resonate", "newName": name, "newTag": tag}
            ]
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        self.kubectl("apply", "-k", str(overlay))


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterFleet]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    reached = subprocess.run(
        ["kubectl", "version", "--request-timeout=5s"], check=False, capture_output=True, text=True
    )
    if reached.returncode != 0:
        pytest.skip(f"no cluster is reached: {reached.stderr.strip().splitlines()[-1]}")
    folder = tmp_path_factory.mktemp("cluster") / "k8s"
    shutil.copytree(ROOT / "k8s", folder)
    shutil.copytree(ROOT / "observability", folder.parent / "observability")
    one = ClusterFleet(folder)
    one.apply()
    try:
        one.rolled_out("server", "steward", "worker")
        yield one
    finally:
        one.kubectl("delete", "namespace", NAMESPACE, "--wait=true", check=False)

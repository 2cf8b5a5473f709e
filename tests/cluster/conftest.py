"""Fleets in the cluster that KUBECONFIG names; skipped, with the reason, where there is none.

The manifests are applied as they are. The images that they name must be on the cluster's nodes:
those of the fleet (`docker compose --profile '*' build`), of the server, and for the production
overlay of PostgreSQL.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.docs_blocks import ROOT

NAMESPACE = "resonate-fleet"
#: Longest wait for a Deployment, in seconds: a volume may have to be made first.
ROLLOUT_SECONDS = 300
#: Longest time of one test, with all that pods take to come and go.
TEST_SECONDS = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


def kubectl(*args: str, check: bool = True, seconds: float = ROLLOUT_SECONDS + 30) -> str:
    done = subprocess.run(
        ["kubectl", *args], check=False, capture_output=True, text=True, timeout=seconds
    )
    if check:
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
    return done.stdout


@dataclass
class ClusterFleet:
    """A fleet in a namespace; `checkout` is a copy of this one that may be written to."""

    checkout: Path
    namespace: str = NAMESPACE

    def kubectl(self, *args: str, check: bool = True) -> str:
        return kubectl("--namespace", self.namespace, *args, check=check)

    def pods(self, app: str) -> list[dict[str, Any]]:
        """Return the pods of a part of the fleet that are not being deleted."""
        selector = f"app.kubernetes.io/name={app}"
        listed = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return [one for one in listed if "deletionTimestamp" not in one["metadata"]]

    def names(self, app: str) -> list[str]:
        return [one["metadata"]["name"] for one in self.pods(app)]

    def replicas(self) -> int:
        field = "jsonpath={.spec.replicas}"
        return int(self.kubectl("get", "deployment", "worker", "-o", field))

    def lines(self, pod: str) -> list[dict[str, Any]]:
        raw = self.kubectl("logs", pod, check=False).splitlines()
        return [json.loads(line) for line in raw if line.startswith("{")]

    def ended(self) -> dict[str, int]:
        """Return how many jobs each member pod has ended."""
        return {
            pod: sum(1 for line in self.lines(pod) if line.get("action") == "job.ended")
            for pod in self.names("worker")
        }

    def apply(self, overlay: str) -> None:
        kubectl("apply", "-k", str(self.checkout / "k8s" / "overlays" / overlay))

    def overlay(self, *components: str, on: str = "local") -> None:
        """Apply an overlay of a user's: `on` with these components, in this namespace."""
        folder = self.checkout / "k8s" / "overlays" / f"tested-{self.namespace}"
        folder.mkdir(exist_ok=True)
        lines = {
            "namespace": self.namespace,
            "resources": [f"../{on}"],
            "components": [f"../../components/{name}" for name in components],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(lines))
        self.apply(folder.name)

    def rolled_out(self, *names: str) -> None:
        for name in names or ("deployment/server", "deployment/steward", "deployment/worker"):
            self.kubectl("rollout", "status", name, f"--timeout={ROLLOUT_SECONDS}s")

    def completed(self, job: str, seconds: int = ROLLOUT_SECONDS) -> str:
        """Wait for a Job to complete; return what its pods logged."""
        wait = ("wait", "--for=condition=complete", f"job/{job}", f"--timeout={seconds}s")
        waited = self.kubectl(*wait, check=False)
        logs = self.kubectl("logs", "-l", f"batch.kubernetes.io/job-name={job}", "--tail=-1")
        assert "condition met" in waited, logs
        return logs

    def remove(self) -> None:
        self.kubectl("delete", "namespace", self.namespace, "--wait=true", check=False)


@contextmanager
def removed_after(*fleets: ClusterFleet) -> Iterator[None]:
    try:
        yield
    finally:
        for one in fleets:
            one.remove()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what the documents' commands read and write."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    reached = subprocess.run(
        ["kubectl", "version", "--request-timeout=5s"], check=False, capture_output=True, text=True
    )
    if reached.returncode != 0:
        pytest.skip(f"no cluster is reached: {reached.stderr.strip().splitlines()[-1]}")
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("k8s", "docker", "observability"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("secrets"))
    shutil.copy(ROOT / "k8s/secrets", folder / "k8s/secrets")
    return folder


@pytest.fixture(scope="module")
def fleet(checkout: Path) -> Iterator[ClusterFleet]:
    """The overlay `local`, applied as it is; each test module puts up one of its own."""
    one = ClusterFleet(checkout)
    one.remove()
    with removed_after(one):
        one.apply("local")
        one.rolled_out()
        yield one

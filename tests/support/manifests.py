"""Kubernetes objects as kustomize renders them, secrets made for the purpose."""

import shutil
import subprocess
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from tests.support.services import need

ROOT = Path(__file__).parents[2]
Object = dict[str, Any]

COMPONENTS = sorted(p.parent.name for p in ROOT.glob("k8s/components/*/kustomization.yaml"))
PAIRS = list(combinations(COMPONENTS, 2))
OVERLAYS = ["k8s", *sorted(f"k8s/overlays/{p.name}" for p in ROOT.glob("k8s/overlays/*"))]


class Tree:
    """A copy of what kustomize reads, with secrets in it, so that the checkout stays as it is."""

    def __init__(self, folder: Path) -> None:
        need(shutil.which("kubectl") is not None, "kubectl is not installed")
        need(shutil.which("openssl") is not None, "openssl is not installed")
        self.folder = folder
        for name in ("k8s", "docker", "observability"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("secrets"))
        shutil.copy(ROOT / "docker/setup", folder / "docker/setup")
        shutil.copy(ROOT / "k8s/secrets", folder / "k8s/secrets")
        subprocess.run([folder / "k8s/secrets"], check=True, capture_output=True)
        self.render = cache(self._render)

    def _render(self, path: str) -> list[Object]:
        done = subprocess.run(
            ["kubectl", "kustomize", str(self.folder / path)],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{path}: {done.stderr}"
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    def overlay(self, name: str, kustomization: str) -> list[Object]:
        """Render an overlay of a user's; its folder may have other files already."""
        folder = self.folder / "k8s" / "overlays" / name
        folder.mkdir(exist_ok=True)
        (folder / "kustomization.yaml").write_text(kustomization, encoding="utf-8")
        return self.render(f"k8s/overlays/{name}")

    def with_components(self, *names: str, namespace: str = "") -> list[Object]:
        """Return the base with these components added, as an overlay of a user's would."""
        name = "-and-".join((*names, namespace) if namespace else names)
        lines = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": ["../../base"],
            "components": [f"../../components/{name}" for name in names],
            **({"namespace": namespace} if namespace else {}),
        }
        return self.overlay(name, yaml.safe_dump(lines))


def pod_specs(objects: list[Object]) -> list[tuple[str, Object]]:
    """Return `kind/name` and pod template of every workload."""
    return [
        (f"{one['kind']}/{one['metadata']['name']}", one["spec"]["template"])
        for one in objects
        if one["kind"] in ("Deployment", "StatefulSet", "Job")
    ]


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Return the one object of that kind and name; generated names match without their hash."""
    found = [
        one
        for one in objects
        if one["kind"] == kind
        and (one["metadata"]["name"] == name or one["metadata"]["name"].startswith(f"{name}-"))
    ]
    assert len(found) == 1, (kind, name, [one["metadata"]["name"] for one in found])
    return found[0]

"""The workflows run what `.ci/run` runs, and nothing that can change under its name."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def workflow(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())
    return loaded


def steps(one: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in one["jobs"].values() for step in job.get("steps", [])]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_by_digest_with_their_version_beside(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8"))
    assert used
    for action, comment in used:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_every_push_runs_the_same_script_as_everywhere() -> None:
    assert steps(workflow("ci.yml"))[-1]["run"] == "bash .ci/run"


def test_a_release_makes_every_target_for_both_machines_with_its_papers() -> None:
    job = workflow("release.yml")["jobs"]["images"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    roles = set(re.findall(r"^FROM common AS (\w+)$", dockerfile, re.MULTILINE))
    assert set(job["strategy"]["matrix"]["target"]) == roles
    build = job["steps"][-1]["with"]
    assert build["platforms"] == "linux/amd64,linux/arm64"
    assert build["sbom"] is True
    assert build["provenance"] == "mode=max"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_has_no_more_rights_than_reading(path: Path) -> None:
    assert workflow(path.name)["permissions"] == {"contents": "read"}

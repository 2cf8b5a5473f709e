"""The lock files and the constraints of pyproject.toml say the same, and name no address."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("requirements.lock", "requirements-build.lock")


def entries(lock: str) -> dict[str, list[str]]:
    """Return the hashes of each `name==version` of a lock file."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            found[line.removesuffix(" \\")] = []
        else:
            found[list(found)[-1]].append(line.strip().removesuffix(" \\"))
    return found


def name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_is_one_version_with_its_hashes_and_nothing_else(lock: str) -> None:
    for pin, hashes in entries(lock).items():
        assert re.fullmatch(r"[a-z0-9-]+==[a-z0-9.]+( ; .+)?", pin), pin
        assert hashes, f"{pin} has no hash"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), pin


def test_the_constraints_are_the_versions_of_the_lock_file() -> None:
    assert PYPROJECT["tool"]["uv"]["constraint-dependencies"] == list(entries("requirements.lock"))


def test_everything_asked_for_is_locked() -> None:
    locked = {name(pin) for pin in entries("requirements.lock")}
    assert {name(one) for one in PYPROJECT["project"]["dependencies"]} <= locked
    building = {name(pin) for pin in entries("requirements-build.lock")}
    assert {name(one) for one in PYPROJECT["build-system"]["requires"]} <= building

"""The house keeps its sizes: `tools/sizes.py` says what they are."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.processes import ROOT

#: Bounds that are not reached yet: how many places may lie beyond them. Only ever lowered.
STILL = {
    "long functions": 0,
    "long files": 0,
    "large classes": 0,
    "many parameters": 0,
    "no reason": 0,
    "same names": 0,
    "wide documents": 0,
}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "tools/sizes.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    sizes: dict[str, Any] = json.loads(done.stdout)
    return sizes


def test_functions_are_short(found: dict[str, Any]) -> None:
    assert found["functions"] > 1000
    assert found["median"] <= 6
    assert found["p90"] <= 17


def test_nothing_stands_twice(found: dict[str, Any]) -> None:
    assert found["repeats"] == []


@pytest.mark.parametrize("name", STILL)
def test_no_more_lies_beyond_its_bound_than_did(name: str, found: dict[str, Any]) -> None:
    assert len(found[name]) <= STILL[name], found[name]


def test_the_script_finds_what_is_too_large(tmp_path: Any) -> None:
    """A copy of the script beside a small house of its own."""
    room = tmp_path / "resonate_fleet"
    room.mkdir()
    (tmp_path / "tools").mkdir()
    script = tmp_path / "tools" / "sizes.py"
    script.write_bytes((ROOT / "tools/sizes.py").read_bytes())
    body = "".join(f"    print({n})\n" for n in range(60))
    many = ", ".join(f"p{n}" for n in range(7))
    state = "".join(f"        self.f{n} = {n}\n" for n in range(13))
    (room / "large.py").write_text(
        f"def long({many}):\n{body}\n"
        f"class Large:\n    def __init__(self):\n{state}\n"
        "x = 1  # noqa: E501\n" + "\n" * 250
    )
    (room / "other.py").write_text("class Large:\n    pass\ny = 1  # type: ignore[misc] - why\n")
    (tmp_path / "README.md").write_text("a " * 60 + "\n")
    done = subprocess.run(
        [sys.executable, str(script), "--json"], capture_output=True, text=True, check=True
    )
    sizes = json.loads(done.stdout)
    for name in ("long functions", "large classes", "many parameters", "no reason", "same names"):
        assert len(sizes[name]) == 1, name
    assert sizes["wide documents"] == ["README.md:1"]
    assert sizes["long files"] == ["resonate_fleet/large.py 329"]

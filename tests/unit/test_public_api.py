"""What programs and documents name is there: a name that goes fails here first."""

import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import resonate_fleet

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = {"Call", "Registry", "Result", "__version__"}


def test_the_package_offers_these_names_and_no_others() -> None:
    assert set(resonate_fleet.__all__) == NAMES
    for name in NAMES:
        assert getattr(resonate_fleet, name)
    with pytest.raises(AttributeError, match="has no attribute 'Worker'"):
        _ = resonate_fleet.Worker  # type: ignore[attr-defined]  # type checkers see it too


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    code = "import sys, resonate_fleet; print(*(m for m in sys.modules if 'resonate' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["resonate_fleet"]


def named() -> list[str]:
    """Return every dotted name of the package that a document has."""
    found: set[str] = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found |= set(re.findall(r"\bresonate_fleet(?:\.[A-Za-z_]\w*)+", text))
        for module, names in re.findall(r"from (resonate_fleet[\w.]*) import ([\w, ]+)", text):
            found |= {f"{module}.{name.strip()}" for name in names.split(",")}
    # What was measured is dated, and names the tools of its day.
    return sorted(name for name in found if not name.startswith("resonate_fleet.bench."))


@pytest.mark.parametrize("name", named())
def test_what_the_documents_name_is_there(name: str) -> None:
    module, _, last = name.rpartition(".")
    there = find_spec(name) if find_spec(module) else None
    assert there or hasattr(import_module(module), last)

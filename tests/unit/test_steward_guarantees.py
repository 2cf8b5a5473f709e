"""Every guarantee that is written down names tests, and they exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guarantees.md").read_text()
#: A long one stands on two lines.
REFERENCE = re.compile(r"`(tests/[\w/]+\.py)(?:`\s+`)?::(\w+)`")


def names_in(path: Path) -> set[str]:
    """Return the functions and assigned names at the top of a test file."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def statements() -> list[str]:
    """Return the items of every list before the section on what is not promised."""
    promised = PAGE.partition("## What is not promised")[0]
    return re.findall(r"^- .*?(?=^- |^$)", promised, re.MULTILINE | re.DOTALL)


def test_every_test_that_is_named_exists() -> None:
    named = REFERENCE.findall(PAGE + (ROOT / "docs/failures.md").read_text())
    assert len(named) > 30
    missing = [f"{file}::{test}" for file, test in named if test not in names_in(ROOT / file)]
    assert missing == []


def test_every_statement_names_a_test() -> None:
    assert len(statements()) > 20
    assert [one for one in statements() if not REFERENCE.search(one)] == []

import ast
import re
from pathlib import Path

import msgspec
import pytest

from resonate_fleet.contract import journal
from resonate_fleet.contract.settings import declared
from tools import docs

ROOT = Path(__file__).parents[2]


def test_every_generated_table_is_as_the_code_says() -> None:
    assert [str(path) for path, _ in docs.stale(ROOT)] == [], (
        "run `uv run python -m tools.docs --write`"
    )


def test_a_changed_table_is_noticed_and_written(tmp_path: Path) -> None:
    for _, name, _ in docs.PARTS:
        copy = tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((ROOT / name).read_text().replace("`WORKER_SLOTS`", "`WORKER_SLOT`"))
    parser = docs.parser("docs")
    root = ("--root", str(tmp_path))
    assert docs.run(parser.parse_args(root)) == 1
    assert docs.run(parser.parse_args([*root, "--write"])) == 0
    assert docs.run(parser.parse_args(root)) == 0
    assert (tmp_path / "docs/settings.md").read_text() == (ROOT / "docs/settings.md").read_text()


def test_a_page_without_its_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        docs.replaced("# Settings\n", "settings", "| a |")


def test_no_setting_is_declared_twice_in_a_process_and_all_have_help() -> None:
    for _, cls in docs.SETTINGS:
        names = [one.env for _, one in declared(cls)]
        assert len(set(names)) == len(names)
        assert all(one.help.strip() for _, one in declared(cls))


def test_every_line_of_the_journal_says_what_it_means() -> None:
    for kind in journal.KINDS:
        assert kind.__dict__.get("__doc__"), kind
        assert msgspec.structs.fields(kind)


def written_actions() -> set[str]:
    """Return the action of every line that the code logs besides the journal's."""
    levels = {"log", "debug", "info", "warning", "error", "exception"}
    calls = (
        call
        for file in (ROOT / "resonate_fleet").rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if call.func.attr in levels
    )
    words = (one.value for call in calls for one in call.args if isinstance(one, ast.Constant))
    return {one for one in words if isinstance(one, str)}


def test_every_other_line_stands_in_the_page_of_logs() -> None:
    page = (ROOT / "docs/logs.md").read_text().partition("## Other lines")[2]
    listed = re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == written_actions()

"""Every code block of the documents is run by a test, or says beside it why not."""

from pathlib import Path

import pytest

from tests.support.docs_blocks import DOCUMENTS, ROOT, Block, blocks, is_like, missing

BLOCKS = [one for path in DOCUMENTS for one in blocks(path)]
TESTS = {path.stem: path for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_a_block_is_run_by_a_test_or_says_why_not(block: Block) -> None:
    if block.reason:
        assert len(block.reason.split()) >= 3, f"{block.where}: {block.reason!r} says nothing"
        return
    assert block.test, f"{block.where} has no `run by` or `not run` above it"
    assert block.test in TESTS, f"{block.where}: no test is called {block.test}"
    assert block.document.name in TESTS[block.test].read_text(encoding="utf-8"), (
        f"{block.where}: {block.test} does not read this document"
    )


def test_blocks_are_read_with_their_marks_commands_and_prints(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Text\n\n<!-- run by test_x with a real server -->\n```console\n$ one \\\n  two\n"
        "      6 worker-1\n$ three\n```\n\n<!-- not run: it needs a cluster -->\n```sh\n"
        "# a comment\nfour\n```\n```\nfive\n```\n"
    )
    first, second, third = blocks(page)
    assert (first.test, first.needs, first.reason, first.number) == (
        "test_x",
        "with a real server",
        "",
        4,
    )
    assert [one.line for one in first.commands] == ["one   two", "three"]
    assert first.commands[0].prints == ("      6 worker-1",)
    assert (second.reason, [one.line for one in second.commands]) == (
        "it needs a cluster",
        ["four"],
    )
    assert (third.mark, third.language, third.text) == ("", "", "five\n")


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("      6 worker-1", "12 worker-1", True),
        ("      6 worker-1", "6 worker", False),
        ("worker-2-5d9f75 is up", "worker-3-1e00aa is up", True),
        ("worker-2-5d9f75 is up", "worker-3-1e00aa is down", False),
        ("PASS: ...", "PASS: 24 of 24", True),
        ("  0.37 s  up", "11 s up", True),
        ("0192a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "ffffffff-c3d4-7e5f-8a9b-0c1d2e3f4a5b", True),
    ],
)
def test_a_line_is_compared_as_far_as_it_is_constant(
    expected: str, printed: str, *, same: bool
) -> None:
    assert is_like(expected, printed) is same


def test_lines_are_looked_for_in_their_order() -> None:
    assert missing(("a 1", "b 2"), "x\na 5\ny\nb 7\n") is None
    assert missing(("b 2", "a 1"), "a 5\nb 7\n") == "a 1"

"""The code blocks of the documents: who runs each, what it says to do and what it prints.

A block is fenced by three backticks. The line above it is a comment that a reader does not see:
`<!-- run by TEST -->`, where TEST is a test file's name without `.py`, perhaps followed by what it
needs (`with a real server`), or `<!-- not run: why -->`. In a block of the language `console` a
line that begins with `$ ` is a command, continued by a backslash; other lines are what it prints.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
#: Documents of this project; measurements keep the commands that once made them.
DOCUMENTS: Final = tuple(
    path
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    if "measurements" not in path.parts
)
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>[^\n]*?) -->\n+)?^ *```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_RUN_BY = re.compile(r"run by (?P<test>\w+)(?: (?P<needs>.+))?")
#: Parts of printed lines that differ from one run to the next.
_CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|(?<=-)[0-9a-f]{6}\b"
    r"|\d+(?:\.\d+)?"
    r"|\.\.\."
    r"|[ \t]+"
)


@dataclass(frozen=True)
class Command:
    """A command line as written, and the lines that it is said to print."""

    line: str
    prints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """A code block. `mark` is the comment above it, empty where there is none."""

    document: Path
    number: int
    mark: str
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.number}"

    @property
    def test(self) -> str:
        """Name of the test file that runs it, empty where none does."""
        found = _RUN_BY.fullmatch(self.mark)
        return found["test"] if found else ""

    @property
    def needs(self) -> str:
        found = _RUN_BY.fullmatch(self.mark)
        return (found["needs"] or "") if found else ""

    @property
    def reason(self) -> str:
        """Why nobody runs it, empty where somebody does."""
        head, _, reason = self.mark.partition(": ")
        return reason if head == "not run" else ""

    @property
    def commands(self) -> list[Command]:
        """Return what a `console` block, or a shell script line by line, says to do."""
        lines = self.text.replace("\\\n", "").splitlines()
        if self.language != "console":
            return [Command(line) for line in lines if line.strip() and not line.startswith("#")]
        return list(_commands(lines))


def _commands(lines: list[str]) -> Iterator[Command]:
    line, printed = "", list[str]()
    for one in [*lines, "$ "]:
        if not one.startswith("$ "):
            printed.append(one)
            continue
        if line:
            yield Command(line, tuple(printed))
        line, printed = one.removeprefix("$ "), []


def blocks(document: Path) -> list[Block]:
    """Return the code blocks of a document in their order; `number` is the fence's line."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            document,
            text.count("\n", 0, text.index("```", found.start())) + 1,
            found["mark"] or "",
            found["language"],
            textwrap.dedent(found["text"]),
        )
        for found in _BLOCK.finditer(text)
    ]


def run_by(test: str, *documents: Path) -> list[Block]:
    """Return the blocks that a test file is to run, in the documents' order."""
    return [one for path in documents for one in blocks(path) if one.test == test]


def is_like(expected: str, printed: str) -> bool:
    """Say whether a printed line is the expected one, but for numbers, ids and spaces."""
    pattern, end = "", 0
    for part in _CHANGING.finditer(expected.strip()):
        pattern += re.escape(expected.strip()[end : part.start()]) + _any(part[0])
        end = part.end()
    pattern += re.escape(expected.strip()[end:])
    return re.fullmatch(pattern, printed.strip()) is not None


def _any(part: str) -> str:
    if part == "...":
        return ".*"
    if not part.strip():
        return r"\s+"
    return r"[0-9a-f-]+" if re.search(r"[a-f-]|^\d{6}$", part) else r"\d+(?:\.\d+)?"


def missing(expected: tuple[str, ...], output: str) -> str | None:
    """Return the first expected line that does not come, in order, in what was printed."""
    lines = iter(output.splitlines())
    wanted = [one for one in expected if one.strip()]
    return next((one for one in wanted if not any(is_like(one, line) for line in lines)), None)

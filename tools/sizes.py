"""The sizes of the house: `python tools/sizes.py`, with `--list` what lies beyond the bounds.

A function's lines are those of its body, without signature and docstring. A class's fields are the
names that it annotates or that its methods set on `self`; plain records (frozen dataclasses and
structs, named tuples, exceptions) may have any number. The product is `resonate_fleet`, `worker`,
`client`; tests are held to bounds of their own elsewhere.
"""

import argparse
import ast
import json
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PRODUCT = ("resonate_fleet", "worker", "client")
#: Product code before the house was one package, in lines.
BEFORE = 23_300
FILE_LINES, FUNCTION_LINES, FIELDS, PARAMETERS, DOC_WIDTH = 300, 50, 12, 6, 100
REPEAT = 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Source(NamedTuple):
    """A file of the product."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def sources() -> list[Source]:
    found: list[Source] = []
    for room in PRODUCT:
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            found.append(Source(str(path.relative_to(ROOT)), text, ast.parse(text)))
    return found


def nodes[N: ast.AST](files: list[Source], *kinds: type[N]) -> Iterator[tuple[Source, N]]:
    for one in files:
        for node in ast.walk(one.tree):
            if isinstance(node, kinds):
                yield one, node


def body_lines(node: Function) -> int:
    body = node.body
    if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def parameters(node: Function) -> int:
    """Count what a caller passes: neither `self` nor `cls`."""
    args = node.args
    names = [one.arg for one in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def is_record(node: ast.ClassDef) -> bool:
    """Tell whether a class only holds values."""
    heads = [ast.unparse(one) for one in (*node.bases, *node.keywords, *node.decorator_list)]
    kinds = r"frozen|settings|NamedTuple|Struct|Protocol|Line\b|Exception"
    return bool(re.search(kinds, " ".join(heads)))


def fields(node: ast.ClassDef) -> set[str]:
    found = {
        one.target.id
        for one in node.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }
    for inner in ast.walk(node):
        targets = inner.targets if isinstance(inner, ast.Assign) else []
        targets = [inner.target] if isinstance(inner, ast.AnnAssign) else targets
        for target in targets:
            for one in ast.walk(target):
                if isinstance(one, ast.Attribute) and ast.unparse(one.value) == "self":
                    found.add(one.attr)
    return found


def unreasoned(files: list[Source]) -> list[str]:
    """Return where a `noqa` or a `type: ignore` says no reason."""
    bare = re.compile(r"#\s*(noqa\b(?::[ A-Z0-9,]*)?|type:\s*ignore(\[[\w, -]*\])?)\s*$")
    return [
        f"{one.path}:{number}"
        for one in files
        for number, line in enumerate(one.lines, start=1)
        if bare.search(line)
    ]


def same_names(files: list[Source]) -> list[str]:
    """Return the names that several public classes of the kit have, with where they stand."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for one in files:
        for node in one.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(one.path)
    return [f"{name}: {', '.join(at)}" for name, at in sorted(found.items()) if len(at) > 1]


def repeats(files: list[Source]) -> list[str]:
    """Return where eight lines of code and more stand a second time; imports do not count."""
    seen: dict[tuple[str, ...], str] = {}
    found: list[str] = []
    for one in files:
        imported = {
            number
            for node in one.tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for number in range(node.lineno, (node.end_lineno or 0) + 1)
        }
        lines = [
            (number, line.strip())
            for number, line in enumerate(one.lines, start=1)
            if line.strip() and number not in imported
        ]
        last = -REPEAT
        for at in range(len(lines) - REPEAT + 1):
            window = lines[at : at + REPEAT]
            here = f"{one.path}:{window[0][0]}"
            first = seen.setdefault(tuple(line for _, line in window), here)
            if first != here and at - last >= REPEAT:
                found.append(f"{here} as {first}")
                last = at
    return found


def wide_documents() -> list[str]:
    """Return the lines of documentation of 100 characters and more: tables, links, code aside."""
    found: list[str] = []
    documents = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    for path in documents:
        fenced = False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            fenced ^= line.lstrip().startswith("```")
            plain = not fenced and not line.lstrip().startswith(("|", "<!--")) and "](" not in line
            if plain and len(line) >= DOC_WIDTH:
                found.append(f"{path.relative_to(ROOT)}:{number}")
    return found


def measured() -> dict[str, Any]:
    """Return every number, and beside those with a bound the places beyond it."""
    files = sources()
    functions = [
        (body_lines(node), f"{one.path}:{node.lineno} {node.name}")
        for one, node in nodes(files, ast.FunctionDef, ast.AsyncFunctionDef)
    ]
    sizes = sorted(size for size, _ in functions)
    rooms: defaultdict[str, int] = defaultdict(int)
    for one in files:
        parts = one.path.split("/")
        room = parts[1] if parts[0] == "resonate_fleet" and len(parts) > 2 else parts[0]
        rooms[room] += len(one.lines)
    return {
        "functions": len(sizes),
        "median": statistics.median(sizes),
        "p90": sizes[int(len(sizes) * 0.9)],
        "longest": sizes[-1],
        "long functions": [where for size, where in functions if size > FUNCTION_LINES],
        "long files": [f"{f.path} {len(f.lines)}" for f in files if len(f.lines) > FILE_LINES],
        "large classes": [
            f"{one.path} {node.name} {len(fields(node))}"
            for one, node in nodes(files, ast.ClassDef)
            if not is_record(node) and len(fields(node)) > FIELDS
        ],
        "many parameters": [
            f"{one.path}:{node.lineno} {node.name} {parameters(node)}"
            for one, node in nodes(files, ast.FunctionDef, ast.AsyncFunctionDef)
            if parameters(node) > PARAMETERS
        ],
        "no reason": unreasoned(files),
        "same names": same_names(files),
        "repeats": repeats(files),
        "wide documents": wide_documents(),
        "rooms": dict(sorted(rooms.items(), key=lambda pair: -pair[1])),
        "lines": sum(rooms.values()),
    }


def shown(found: dict[str, Any], *, places: bool) -> Iterator[str]:
    bounds = {"median": 6, "p90": 17, "longest": FUNCTION_LINES, "lines": int(BEFORE * 0.8)}
    for name, value in found.items():
        if name == "rooms":
            yield "lines by room    " + ", ".join(f"{room} {n}" for room, n in value.items())
        elif isinstance(value, list):
            yield f"{name:<16} {len(value):>6}   (none)"
            if places:
                yield from (f"    {one}" for one in value)
        else:
            bound = f"   (at most {bounds[name]})" if name in bounds else ""
            yield f"{name:<16} {value:>6g}{bound}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/sizes.py", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name what lies beyond the bounds")
    parser.add_argument("--json", action="store_true", help="all of it, for programs")
    given = parser.parse_args()
    found = measured()
    text = json.dumps(found, indent=2) if given.json else "\n".join(shown(found, places=given.list))
    sys.stdout.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

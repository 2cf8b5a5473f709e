"""The map of CONTRIBUTING.md leads to files that there are, and to names that stand in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


SECTION = (
    (ROOT / "CONTRIBUTING.md")
    .read_text(encoding="utf-8")
    .partition("## Where is what")[2]
    .partition("\n## ")[0]
)


def found(path: str) -> Path | None:
    places = (root / path for root in (ROOT, ROOT / "resonate_fleet"))
    return next((one for one in places if one.exists()), None)


def test_each_file_of_the_map_is_there() -> None:
    named = [path for path in re.findall(r"`([a-z_/]+(?:\.py|\.js|/))`", SECTION) if "/" in path]
    assert len(named) > 30
    assert [path for path in named if found(path) is None] == []


def test_each_name_of_the_map_stands_in_its_file() -> None:
    pairs = [
        (path, name)
        for path, names in re.findall(r"`([a-z_/]+\.(?:py|js))` \(([^)]*)\)", SECTION)
        for name in re.findall(r"`(\w+)`", names)
    ]
    assert len(pairs) > 20
    missing = [
        (path, name)
        for path, name in pairs
        if not re.search(rf"\b{name}\b", (found(path) or ROOT / path).read_text(encoding="utf-8"))
    ]
    assert missing == []

"""The map of CONTRIBUTING.md leads to files that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_file_of_the_map_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## Where is what")[2].partition("\n## ")[0]
    named = [path for path in re.findall(r"`([a-z_/]+(?:\.py|/))`", section) if "/" in path]
    assert len(named) > 10
    missing = [
        path
        for path in named
        if not any((root / path).exists() for root in (ROOT, ROOT / "resonate_fleet"))
    ]
    assert missing == []

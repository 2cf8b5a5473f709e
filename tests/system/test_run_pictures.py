"""The README's pictures are made by one command, from a run, and stay small."""

import asyncio
from pathlib import Path

import pytest

from resonate_fleet.report.__main__ import judge_folder
from tests.support.browser import chromium
from tests.support.runs import Blow, play
from tools.run_pictures import take

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
#: What a README can afford, in bytes.
SMALL = 300_000


@pytest.mark.browser
def test_pictures_of_a_run(tmp_path: Path) -> None:
    chromium()
    folder = play([Blow("kill", 6)], jobs=20).write(tmp_path / "run")
    out = tmp_path / "report.png"
    judge_folder(folder.root)
    asyncio.run(take(folder.report.resolve().as_uri(), out))
    png = out.read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20]) == 1320
    assert 20_000 < len(png) < SMALL


def test_the_published_pictures_are_small() -> None:
    shown = {path.name: path.stat().st_size for path in PICTURES.iterdir()}
    assert "report.png" in shown
    assert all(size < SMALL for size in shown.values()), shown

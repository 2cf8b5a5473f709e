"""The README's pictures are made by one command, from a run, and stay small."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from resonate_fleet.report.__main__ import judge_folder
from tests.support.browser import chromium
from tests.support.runs import Blow, play
from tools.run_pictures import live_view, make

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
#: What a README can afford, in bytes.
SMALL = 300_000


@pytest.mark.browser
def test_pictures_of_a_run(tmp_path: Path) -> None:
    chromium()
    folder = play([Blow("kill", 6)], jobs=20).write(tmp_path / "run")
    out = tmp_path / "pictures"
    judge_folder(folder.root)
    make(folder, out)
    png = (out / "report.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20]) == 1320
    assert 20_000 < len(png) < SMALL
    assert (out / "live.svg").stat().st_size < SMALL


def test_the_live_view_shows_the_recovery(tmp_path: Path) -> None:
    run = play([Blow("kill", 6)], jobs=20)
    svg = live_view(run.write(tmp_path))
    ET.fromstring(svg)  # noqa: S314 - written by ourselves
    text = re.sub(r"<[^>]+>|&#160;", " ", svg)
    assert "killed" in text
    assert "attempt 2" in re.sub(r"\s+", " ", text)
    assert "https://" not in svg
    assert "@font-face" not in svg


def test_the_published_pictures_are_small() -> None:
    shown = {path.name: path.stat().st_size for path in PICTURES.iterdir()}
    assert {"live.svg", "report.png"} <= set(shown)
    assert all(size < SMALL for size in shown.values()), shown

"""`pytest --exchanges DIR` as somebody types it who has recordings of his own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, clean_env

RECORDING = ROOT / "tests" / "contract" / "exchanges" / "01.jsonl"


def test_the_recordings_of_any_folder_are_replayed_and_judged(tmp_path: Path) -> None:
    recorded = RECORDING.read_text()
    changed = recorded.replace('"state":"resolved","tags"', '"state":"rejected","tags"', 1)
    assert changed != recorded
    (tmp_path / "real.jsonl").write_text(recorded)
    (tmp_path / "other.jsonl").write_text(changed)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "--exchanges", str(tmp_path), "-q"],
        cwd=ROOT, env=clean_env(), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout
    assert "1 failed, 1 passed" in ended.stdout
    assert "other.jsonl:" in ended.stdout

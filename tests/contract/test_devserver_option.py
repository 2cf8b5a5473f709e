"""`pytest --exchanges DIR` as somebody types it who has recordings of his own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, clean_env

RECORDING = ROOT / "tests" / "contract" / "exchanges" / "01.jsonl"


def replay(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--exchanges", str(folder), "-q"],
        cwd=ROOT, env=clean_env(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_recordings_of_any_folder_are_replayed(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes(RECORDING.read_bytes())
    ended = replay(tmp_path)
    assert ended.returncode == pytest.ExitCode.OK, ended.stdout
    assert "1 passed" in ended.stdout


def test_a_recording_of_another_server_fails(tmp_path: Path) -> None:
    recorded = RECORDING.read_text()
    assert '"state":"resolved"' in recorded
    changed = recorded.replace('"state":"resolved","tags"', '"state":"rejected","tags"', 1)
    assert changed != recorded
    (tmp_path / "other.jsonl").write_text(changed)
    ended = replay(tmp_path)
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout
    assert "other.jsonl:" in ended.stdout

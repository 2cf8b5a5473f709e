"""`python -m report`: what it writes, prints and answers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from resonate_fleet.contract import exits
from resonate_fleet.report.__main__ import main
from tests.support.runs import Blow, play
from tests.support.sabotage import SABOTAGES


def spoiled(name: str, root: Path) -> str:
    run = play([Blow("kill", 6)], jobs=20)
    SABOTAGES[name][0](run)
    run.write(root)
    return str(root)


def test_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = play([Blow("kill", 6)], jobs=20).write(tmp_path)
    assert main([str(tmp_path)]) == exits.OK
    printed = capsys.readouterr().out
    assert "PASS" in printed
    assert "jobs lost" in printed
    assert folder.verdict.exists()
    assert folder.report.exists()


def test_fail_names_the_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([spoiled("server_forgets_a_promise", tmp_path)]) == exits.BROKEN
    assert "missing-promise" in capsys.readouterr().out


def test_inconclusive(tmp_path: Path) -> None:
    assert main([spoiled("chaos_misses", tmp_path)]) == exits.INCONCLUSIVE


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = play(jobs=5).write(tmp_path)
    assert main([str(tmp_path), "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out) == json.loads(folder.verdict.read_text())


def test_a_reader_that_leaves_is_no_verdict(tmp_path: Path) -> None:
    play(jobs=5).write(tmp_path)
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "resonate_fleet", "report", str(tmp_path)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (exits.UNREAD, b"")


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["$defs"]["Verdict"]


@pytest.mark.parametrize("arguments", [[], ["no/such/folder"]])
def test_what_is_no_run_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == exits.USAGE
    said = capsys.readouterr().err
    assert "accepted: a run's folder" in said
    assert said.count("\n") == 1


def test_what_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = play(jobs=3).write(tmp_path)
    folder.verdict.mkdir()
    assert main([str(tmp_path)]) == exits.FAILED
    assert "verdict.json cannot be written" in capsys.readouterr().err


def test_text_from_outside_cannot_leave_its_place_in_the_page(tmp_path: Path) -> None:
    run = play(jobs=3, scenario="</script><script>alert(1)</script>")
    folder = run.write(tmp_path)
    main([str(tmp_path)])
    page = folder.report.read_text()
    assert "<script>alert" not in page
    assert page.count("<script") == 2
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page

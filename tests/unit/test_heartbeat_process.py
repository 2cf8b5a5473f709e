"""The process beside a member that keeps its leases: what is done where it cannot run."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from resonate_fleet.member import heartbeat_process
from resonate_fleet.member.attempts import Table
from resonate_fleet.member.heartbeat_process import HeartbeatProcess

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")


class Started(subprocess.Popen[bytes]):
    """Each process that was to be started."""

    all: list["Started"]

    def __init__(self, *given: Any, **named: Any) -> None:
        self.all.append(self)
        super().__init__(*given, **named)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Mock:
    Started.all = []
    monkeypatch.setattr(subprocess, "Popen", Started)
    made = Mock()
    monkeypatch.setattr(heartbeat_process, "log", made)
    return made


def made() -> HeartbeatProcess:
    return HeartbeatProcess(Table(), "http://127.0.0.1:1", None, "m", 3.0)


@pytest.mark.parametrize(
    ("interpreter", "why"), [("/bin/false", "ended with 1|closed"), ("/nonexistent", "No such")]
)
def test_one_that_cannot_run_is_said_and_tried_ever_less_often(
    log: Mock, monkeypatch: pytest.MonkeyPatch, interpreter: str, why: str
) -> None:
    clock = Mock(monotonic=Mock(return_value=1000.0))
    monkeypatch.setattr(heartbeat_process, "time", clock)
    monkeypatch.setattr(sys, "executable", interpreter)
    with made() as process:
        for _ in range(3600):  # an hour of heartbeats
            clock.monotonic.return_value += 1.0
            process.sent()
            if interpreter == "/bin/false":
                Started.all[-1].wait(10)
            assert not process.runs
    assert 5 <= len(Started.all) <= 25
    said = [(one.args[0], one.kwargs["why"]) for one in log.method_calls]
    assert [action for action, _ in said] == ["heartbeat-process.ended", "heartbeat-process.failed"]
    assert all(re.search(why, words) for _, words in said)


def test_one_that_is_killed_now_and_then_is_replaced_at_once(
    log: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat_process, "LASTING", 0.0)
    with made() as process:
        for _ in range(4):
            Started.all[-1].kill()
            Started.all[-1].wait(10)
            process.keep_running()
            assert process.runs
    Started.all[-1].wait(10)
    assert [one.args[0] for one in log.method_calls] == ["heartbeat-process.ended"] * 4

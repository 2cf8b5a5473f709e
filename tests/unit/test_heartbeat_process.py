"""The process beside a member that keeps its leases: what is done where it cannot run."""

import re
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from resonate_fleet.member import heartbeat_process
from resonate_fleet.member.attempts import Table
from resonate_fleet.member.heartbeat_process import HeartbeatProcess

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")


@pytest.mark.parametrize(
    ("interpreter", "why"), [("/bin/false", "ended with 1|closed"), ("/nonexistent", "No such file")]
)
def test_one_that_cannot_run_is_said_and_tried_ever_less_often(
    monkeypatch: pytest.MonkeyPatch, interpreter: str, why: str
) -> None:
    log, starts = Mock(), 0
    clock = Mock(monotonic=Mock(return_value=1000.0))
    monkeypatch.setattr(heartbeat_process, "log", log)
    monkeypatch.setattr(heartbeat_process, "time", clock)
    monkeypatch.setattr(sys, "executable", interpreter)
    process = HeartbeatProcess(Table(), "http://127.0.0.1:1", None, "m", 3.0)
    begin = process._start

    def start() -> None:
        nonlocal starts
        starts += 1
        begin()
        if process._process is not None:  # else it ended before its first line
            process._process.wait(10)

    monkeypatch.setattr(process, "_start", start)
    with process:
        for _ in range(3600):  # an hour of heartbeats
            clock.monotonic.return_value += 1.0
            process.sent()
            assert not process.runs
    assert 5 <= starts <= 25
    said = [(one.args[0], one.kwargs["why"]) for one in log.method_calls]
    assert [action for action, _ in said] == ["heartbeat-process.ended", "heartbeat-process.failed"]
    assert all(re.search(why, words) for _, words in said)


def test_one_that_is_killed_now_and_then_is_replaced_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Mock()
    monkeypatch.setattr(heartbeat_process, "log", log)
    monkeypatch.setattr(heartbeat_process, "LASTING", 0.0)
    with HeartbeatProcess(Table(), "http://127.0.0.1:1", None, "m", 3.0) as process:
        for _ in range(4):
            assert process._process is not None
            process._process.kill()
            process._process.wait(10)
            process.keep_running()
            assert process.runs
        last = process._process
    assert last is not None
    last.wait(10)
    assert [one.args[0] for one in log.method_calls] == ["heartbeat-process.ended"] * 4

"""The first lines of a process: a signal ends it at once, and rich is not loaded for nothing."""

import subprocess
import sys

import pytest

from resonate_fleet.contract import exits


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_what_has_not_begun(number: str) -> None:
    code = f"""
import os, signal, time
from resonate_fleet.contract.start import leave_when_told
leave_when_told({exits.INTERRUPTED})
os.kill(os.getpid(), signal.{number})
time.sleep(10)
print("went on")
"""
    done = python(code)
    assert (done.returncode, done.stdout) == (exits.INTERRUPTED, "")


def test_a_signal_that_came_before_python_ran_is_heard() -> None:
    code = f"""
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
from resonate_fleet.contract.start import leave_when_told
leave_when_told({exits.INTERRUPTED})
print("went on")
"""
    done = python(code)
    assert (done.returncode, done.stdout) == (exits.INTERRUPTED, "")


def test_structlog_comes_without_rich_and_rich_can_be_had_afterwards() -> None:
    code = """
import sys
from resonate_fleet.contract.start import import_structlog
import_structlog()
assert "structlog" in sys.modules
print(*[name for name in sys.modules if name.partition(".")[0] == "rich"])
import rich.progress
from resonate_fleet.contract import logs
logs.configure("text", "info", "me")
import structlog
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger().exception("defect")
"""
    done = python(code)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("room", ["member", "steward", "submit", "server"])
def test_nothing_slow_is_imported_before_signals_are_heard(room: str) -> None:
    done = python(f"import sys, resonate_fleet.{room}.__main__; print(*sys.modules)")
    slow = {"aiohttp", "asyncio", "structlog", "rich", "prometheus_client", "resonate", "msgspec"}
    assert not slow & set(done.stdout.split()), done.stderr
    assert f"resonate_fleet.{room}.__main__" in done.stdout.split()

"""What the world does to a client: its output and its log go nowhere."""

import subprocess

import pytest

from tests.support.fleet import Fleet
from tests.support.processes import ROOT, clean_env, room_command

pytestmark = pytest.mark.system


def submit(fleet: Fleet, redirected: str) -> "subprocess.CompletedProcess[str]":
    command = " ".join([*room_command("client"), "--id", "one", "--id", "two", redirected])
    env = {"RESONATE_URL": fleet.server.url, "CLIENT_LOG_FORMAT": "json"}
    return subprocess.run(
        ["bash", "-c", command], env=clean_env(env), cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("redirected", "code", "says"),
    [
        (">/dev/full", 4, "standard output cannot be written: No space left on device"),
        ("2>/dev/full", 0, ""),
        (">&- 2>&-", 0, ""),
        ("2> >(true)", 0, ""),
    ],
)
def test_jobs_are_sent_wherever_the_output_goes(
    fleet: Fleet, redirected: str, code: int, says: str
) -> None:
    done = submit(fleet, redirected)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(fleet.server.tasks("pending")) == 2

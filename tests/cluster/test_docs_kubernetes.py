"""Every command of docs/kubernetes.md that says so, as written and in its order.

One shell does them all, as a reader's would, so that what it has started in the background goes on.
"""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster.conftest import ClusterFleet, removed_after
from tests.support.docs_blocks import ROOT, Command, missing, run_by
from tests.support.waiting import wait_until

DOCUMENT = ROOT / "docs" / "kubernetes.md"
COMMAND_SECONDS = 700


class Shell:
    """A reader's shell in a copy of the checkout. It is ended with all that it has started."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._log = log
        self._number = 0
        env = {**os.environ, "UV_NO_SYNC": "1", "UV_PROJECT_ENVIRONMENT": str(ROOT / ".venv")}
        with log.open("wb") as printed:
            self._process = subprocess.Popen(
                ["bash", "-uo", "pipefail"],
                cwd=folder,
                env=env,
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def does(self, command: Command) -> None:
        self._number += 1
        begin, mark = self._log.stat().st_size, f"--- done {self._number}:"
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command.line}\necho '{mark}' $?\n")
        self._process.stdin.flush()

        def ended() -> str | None:
            printed = self._log.read_bytes()[begin:].decode(errors="replace")
            return printed if re.search(f"{mark} \\d+\n", printed) else None

        printed = wait_until(ended, COMMAND_SECONDS, f"the end of {command.line}")
        said = f"{command.line}\n{printed[-3000:]}"
        if f"{mark} 0\n" not in printed:
            job = ClusterFleet(ROOT).kubectl("logs", "job/chaos", "--tail=60", check=False)
            pytest.fail(f"{said}\nthe Job of chaos: {job}")
        lacking = missing(command.prints, printed)
        assert lacking is None, f"{lacking!r} was not printed by {said}"
        forwarded = re.search(r"port-forward \S+ (\d+) &$", command.line)
        if forwarded:
            wait_until(lambda: _listens(int(forwarded[1])), 30, f"port {forwarded[1]} to answer")

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.communicate()


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def shell(checkout: Path, tmp_path: Path) -> Iterator[Shell]:
    for name in ("pyproject.toml", "uv.lock", "resonate_fleet", "client", "worker", "README.md"):
        link = checkout / name
        if not link.exists():
            link.symlink_to(ROOT / name)
    one = ClusterFleet(checkout)
    one.remove()
    reader = Shell(checkout, tmp_path / "shell.log")
    with removed_after(one):
        yield reader
        reader.close()


@pytest.mark.timeout(3600)
def test_the_page_is_run_as_written(shell: Shell) -> None:
    blocks = run_by(Path(__file__).stem, DOCUMENT)
    assert len(blocks) >= 8
    for block in blocks:
        for command in block.commands:
            shell.does(command)

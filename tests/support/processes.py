"""Rooms as real processes of a test: started, watched by their logs, ended by pid."""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from resonate_fleet.chaos.child import SCRUBBED, BlockingChild, OutputFiles, clean_env
from resonate_fleet.chaos.ports import free_port
from tests.support import forks
from tests.support.waiting import wait_until

__all__ = [
    "ROOT",
    "SCRUBBED",
    "SERVER_BIN",
    "Process",
    "Processes",
    "clean_env",
    "free_port",
    "lives",
    "room_command",
    "run_room",
    "run_without_threads",
]

#: What is forked where it runs beside a test; that which starts processes itself is not.
FORKED = ("client", "worker", "resonate_fleet.server", "resonate_fleet.steward")
#: Path of a real server binary; with it the `server` fixture runs on that one too.
SERVER_BIN = "RESONATE_SERVER_BIN"
ROOT = Path(__file__).parents[2]


class Process(BlockingChild):
    """One started process. `out` and `err` are the files that its two streams go to."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], folder: Path
    ) -> None:
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        super().__init__(name, command, env, OutputFiles(self.err, self.out))

    def _start(self, command: list[str], streams: OutputFiles) -> None:
        if command[2:3] and command[2] in FORKED and forks.can_fork(command, self.env):
            self._process = forks.Forked(command, self.env, streams)  # type: ignore[assignment]  # as good as one
        else:
            super()._start(command, streams)

    def line(self, action: str, timeout: float = 10.0) -> dict[str, Any]:
        """Wait for the first log line of `action`; fail at once if the process ends without."""

        def look() -> dict[str, Any] | None:
            ended = not self.running
            found = self.lines(action)
            if found:
                return found[0]
            assert not ended, f"{self.name} ended with {self.exit_code}:\n{self.tail()}"
            return None

        return wait_until(look, timeout, f"{self.name} logs {action!r}; its log:\n{self.tail()}")

    def children(self) -> set[int]:
        """Return its children that live, whichever of its threads began them."""
        lists = Path(f"/proc/{self.pid}/task").glob("*/children")
        return {int(pid) for one in lists for pid in one.read_text().split() if lives(int(pid))}

    def terminate(self) -> None:
        self.send(signal.SIGTERM)

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def wait(self, timeout: float = 10.0) -> int:
        """Return the exit code, or fail after `timeout` seconds."""
        try:
            return super().wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} still runs after {timeout:g} s:\n{self.tail()}"
            ) from None


class Processes:
    """Starts processes and ends all of them, killed if need be, when the context is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.started):
            process.kill()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Process:
        process = Process(name, command, env, self.folder)
        self.started.append(process)
        return process

    def room(self, room: str, name: str, env: Mapping[str, str], *args: str) -> Process:
        """Start a room with `args` in the background."""
        return self.start(name, [*room_command(room), *args], env)


def lives(pid: int) -> bool:
    """Tell whether a process runs: one that has ended and nobody has waited for does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def room_command(room: str) -> list[str]:
    """Return the command that starts the application (`worker`, `client`) or a room of the kit."""
    module = {"worker": "worker", "client": "client", "fleet": "resonate_fleet"}.get(room)
    return [sys.executable, "-m", module or f"resonate_fleet.{room}"]


def run_room(
    room: str, *args: str, env: Mapping[str, str] | None = None, timeout: float = 30.0
) -> subprocess.CompletedProcess[str]:
    """Run a room with `args` to its end and return exit code, output and log."""
    command, given = [*room_command(room), *args], clean_env(env)
    if room in ("client", "fleet") and forks.can_fork(command, env or {}):
        with TemporaryDirectory(prefix="forked-") as folder:
            return forks.run(command, given, Path(folder), timeout)
    return subprocess.run(
        command,
        env=given,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )


def run_without_threads(room: str) -> subprocess.CompletedProcess[str]:
    """Run a worker or steward that may start no thread to its end.

    A thread takes its stack, 4 GiB here, from what `ulimit -v` allows.
    """
    command = f"ulimit -s 4000000 -v 2000000; exec {' '.join(room_command(room))}"
    env = clean_env({f"{room.upper()}_HOST": "127.0.0.1", f"{room.upper()}_PORT": "0"})
    return subprocess.run(
        ["bash", "-c", command],
        check=False, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

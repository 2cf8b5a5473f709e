"""Rooms as real processes of a test: started, watched by their logs, ended by pid."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from resonate_fleet.chaos.processes import free_port
from tests.support.waiting import wait_until

__all__ = [
    "ROOT",
    "SCRUBBED",
    "SERVER_BIN",
    "Process",
    "Processes",
    "free_port",
    "room_command",
    "run_room",
]

#: Settings of the shell that runs the tests must not reach the processes under test.
SCRUBBED = ("RESONATE_", "WORKER_", "CLIENT_", "STEWARD_")
#: Path of a real server binary; with it the `server` fixture runs on that one too.
SERVER_BIN = "RESONATE_SERVER_BIN"
ROOT = Path(__file__).parents[2]


def clean_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without any setting of ours, then `extra`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(SCRUBBED)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # each start would compile everything anew
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(extra or {})


class Process:
    """One started process. `out` and `err` are the files that its two streams go to."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], folder: Path
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.out = folder / f"{name}.out"
        self.err = folder / f"{name}.err"
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.popen = subprocess.Popen(
                command, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=ROOT
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def lines(self, action: str | None = None) -> list[dict[str, Any]]:
        """Return the JSON log lines written so far, those of `action` alone if given."""
        found = list(_json_lines(self.err.read_text(errors="replace")))
        return [line for line in found if action is None or line.get("action") == action]

    def line(self, action: str, timeout: float = 10.0) -> dict[str, Any]:
        """Wait for the first log line of `action`; fail at once if the process ends without."""

        def look() -> dict[str, Any] | None:
            ended = not self.running
            found = self.lines(action)
            if found:
                return found[0]
            assert not ended, f"{self.name} ended with {self.popen.returncode}:\n{self.tail()}"
            return None

        return wait_until(look, timeout, f"{self.name} logs {action!r}; its log:\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.err.read_text(errors="replace").splitlines()[-lines:])

    def send(self, number: signal.Signals) -> None:
        if self.running:
            self.popen.send_signal(number)

    def terminate(self) -> None:
        self.send(signal.SIGTERM)

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """Kill -9 and wait for the end."""
        with suppress(ProcessLookupError):
            self.popen.kill()
        self.popen.wait(10)

    def wait(self, timeout: float = 10.0) -> int:
        """Return the exit code, or fail after `timeout` seconds."""
        try:
            return self.popen.wait(timeout)
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
        process = Process(name, command, clean_env(env), self.folder)
        self.started.append(process)
        return process

    def room(self, room: str, name: str, env: Mapping[str, str], *args: str) -> Process:
        """Start a room with `args` in the background."""
        return self.start(name, [*room_command(room), *args], env)


def room_command(room: str) -> list[str]:
    """Return the command that starts the application (`worker`, `client`) or a room of the kit."""
    module = {"worker": "worker", "client": "client", "fleet": "resonate_fleet"}.get(room)
    return [sys.executable, "-m", module or f"resonate_fleet.{room}"]


def run_room(
    room: str, *args: str, env: Mapping[str, str] | None = None, timeout: float = 30.0
) -> subprocess.CompletedProcess[str]:
    """Run a room with `args` to its end and return exit code, output and log."""
    return subprocess.run(
        [*room_command(room), *args],
        env=clean_env(env),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )


def _json_lines(text: str) -> Iterator[dict[str, Any]]:
    for raw in text.splitlines():
        with suppress(json.JSONDecodeError):
            line = json.loads(raw)
            if isinstance(line, dict):
                yield line

"""One process of a fleet on this machine: started, watched by its log, ended for certain."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

#: Settings of the shell that starts a fleet must not reach its processes by accident.
SCRUBBED: Final = ("RESONATE_", "WORKER_", "CLIENT_", "STEWARD_")

#: Runs before the command, in its process: the kernel kills the command when its parent is gone,
#: so that not even a `kill -9` of the parent leaves anything behind (Linux; elsewhere nothing).
LEASH: Final = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
os.execv(sys.argv[2], sys.argv[2:])
"""


class StartFailed(Exception):  # noqa: N818 - says what happened, with the log's end
    """A process ended, or did not say that it was ready in time."""


def clean_env(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without any setting of a fleet's, then `extra`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(SCRUBBED)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # each start would compile everything anew
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(extra)


class Child:
    """A started process. Both its streams are appended to `log`."""

    def __init__(
        self, name: str, process: asyncio.subprocess.Process, env: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._env = dict(env)
        self._read = log.stat().st_size

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], env: Mapping[str, str], log: Path
    ) -> "Child":
        """Start `command` in a session of its own: a Ctrl-C at the terminal does not reach it."""
        log.parent.mkdir(parents=True, exist_ok=True)
        env = clean_env(env)
        leash = [sys.executable, "-I", "-S", "-c", LEASH, str(os.getpid())]
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *leash,
                *command,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            return cls(name, process, env, log)

    @classmethod
    async def room(
        cls, name: str, room: Sequence[str], env: Mapping[str, str], log: Path
    ) -> "Child":
        """Start `python -m resonate_fleet.<room...>`."""
        return await cls.start(
            name, [sys.executable, "-m", f"resonate_fleet.{room[0]}", *room[1:]], env, log
        )

    @property
    def process(self) -> int:
        """Process id of the operating system."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for the number of the signal that ended it."""
        return self._process.returncode

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def environment(self) -> dict[str, str]:
        """Return the environment that the process has, by the kernel where it tells."""
        with suppress(OSError):
            pairs = Path(f"/proc/{self.process}/environ").read_bytes().decode().split("\0")
            return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return self._env

    async def line(self, action: str, seconds: float) -> dict[str, Any]:
        """Return the first log line of `action` that this start wrote.

        Raises:
            StartFailed: the process ended without it, or `seconds` went by.
        """
        end = asyncio.get_running_loop().time() + seconds
        while True:
            running = self.running
            found = self._find(action)
            if found is not None:
                return found
            if not running:
                raise StartFailed(f"{self.name} ended with {self.exit_code}:\n{self.tail()}")
            if asyncio.get_running_loop().time() >= end:
                raise StartFailed(f"{self.name}: no {action!r} in {seconds:g} s:\n{self.tail()}")
            await asyncio.sleep(0.02)

    def _find(self, action: str) -> dict[str, Any] | None:
        with self.log.open("rb") as file:
            file.seek(self._read)
            for raw in file:
                with suppress(msgspec.DecodeError):
                    line = msgspec.json.decode(raw)
                    if isinstance(line, dict) and line.get("action") == action:
                        return line
        return None

    def tail(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False where the process has ended already."""
        if not self.running:
            return False
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
            return True
        return False

    async def wait(self) -> int:
        return await self._process.wait()

    async def stop(self, seconds: float, *, thaw: bool = True) -> int:
        """Terminate, and kill after `seconds`; a frozen process is thawed so that it can obey."""
        self.send(signal.SIGTERM)
        if thaw:
            self.send(signal.SIGCONT)
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._process.wait(), seconds)
        return await self.kill()

    async def kill(self) -> int:
        self.send(signal.SIGKILL)
        return await self._process.wait()

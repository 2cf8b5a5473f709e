"""The processes that a fleet is started as: watched by their logs, ended for certain.

Demo, `fleet up`, chaos, bench and tests start theirs here. `Child` waits on the event loop,
`BlockingChild` blocks its thread.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from resonate_fleet.chaos.place import PlaceFailed

#: Settings of the shell that starts a fleet must not reach its processes by accident.
SCRUBBED: Final = ("RESONATE_", "WORKER_", "CLIENT_", "STEWARD_")

#: Runs before the command, in its process: the kernel kills the command when its parent ends,
#: so that not even a `kill -9` of the parent leaves anything behind (Linux; elsewhere nothing).
LEASH: Final = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
os.execvp(sys.argv[2], sys.argv[2:])
"""
#: Seconds between two looks at a process or its log.
LOOK_SECONDS: Final = 0.02


class StartFailed(PlaceFailed):
    """A process ended, or did not say that it was ready in time."""


def clean_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without any setting of a fleet's, then `extra`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(SCRUBBED)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # each start would compile everything anew
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(extra or {})


def room_command(*room: str) -> list[str]:
    """Return the command `python -P -m resonate_fleet.<room...>`.

    `-P` keeps modules of the current folder from standing in for libraries of the same name.
    """
    return [sys.executable, "-P", "-m", f"resonate_fleet.{room[0]}", *room[1:]]


def ended(code: int | None) -> str:
    """Say how a process ended, by its exit code as `Spawned` has it.

    >>> ended(4), ended(-signal.SIGSEGV)
    ('ended with 4', 'was ended by SIGSEGV')
    """
    if code is None or code >= 0:
        return f"ended with {code}"
    names = {one.value: one.name for one in signal.Signals}
    return f"was ended by {names.get(-code, f'signal {-code}')}"


class OutputFiles(NamedTuple):
    """Where a process's two streams are appended; both to `log` where there is no `out`."""

    log: Path
    out: Path | None = None


class Spawned:
    """A started process in a session of its own: a Ctrl-C at the terminal does not reach it."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], to: Path | OutputFiles
    ) -> None:
        streams = to if isinstance(to, OutputFiles) else OutputFiles(to)
        self.name = name
        self.log = streams.log
        self.env = clean_env(env)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._read = self.log.stat().st_size if self.log.exists() else 0
        self._start(list(command), streams)

    def _start(self, command: list[str], streams: OutputFiles) -> None:
        leash = [sys.executable, "-I", "-S", "-c", LEASH, str(os.getpid())]
        with self.log.open("ab") as err, (streams.out or self.log).open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                [*leash, *command],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for the number of the signal that ended it."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self.exit_code is None

    def lines(self, action: str | None = None) -> list[dict[str, Any]]:
        """Return the JSON lines that this start has logged, those of `action` alone if given."""
        found: list[dict[str, Any]] = []
        with self.log.open("rb") as file:
            file.seek(self._read)
            for raw in file:
                with suppress(msgspec.DecodeError, UnicodeDecodeError):
                    line = msgspec.json.decode(raw)
                    if isinstance(line, dict) and action in (None, line.get("action")):
                        found.append(line)
        return found

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


class Child(Spawned):
    """A process whose starter waits on the event loop."""

    async def line(self, action: str, seconds: float) -> dict[str, Any]:
        """Return the first log line of `action` that this start wrote.

        Raises:
            StartFailed: the process ended without it, or `seconds` went by.
        """
        end = asyncio.get_running_loop().time() + seconds
        while True:
            running = self.running
            found = self.lines(action)
            if found:
                return found[0]
            if not running:
                raise StartFailed(f"{self.name} {ended(self.exit_code)}:\n{self.tail()}")
            if asyncio.get_running_loop().time() >= end:
                raise StartFailed(f"{self.name}: no {action!r} in {seconds:g} s:\n{self.tail()}")
            await asyncio.sleep(LOOK_SECONDS)

    async def wait(self) -> int:
        """Return the exit code when the process has ended."""
        if self.running and sys.platform == "linux":
            await _readable(os.pidfd_open(self.pid))
        while (code := self.exit_code) is None:  # noqa: ASYNC110 - the kernel wakes nobody here
            await asyncio.sleep(LOOK_SECONDS)
        return code

    async def stop(self, seconds: float, *, thaw: bool = True) -> int:
        """Terminate, and kill after `seconds`; a frozen process is thawed so that it can obey."""
        self.send(signal.SIGTERM)
        if thaw:
            self.send(signal.SIGCONT)
        with suppress(TimeoutError):
            return await asyncio.wait_for(self.wait(), seconds)
        return await self.kill()

    async def kill(self) -> int:
        self.send(signal.SIGKILL)
        return await self.wait()


async def run_client(options: Sequence[str], env: Mapping[str, str], log: Path) -> None:
    """Run the client to its end.

    Raises:
        PlaceFailed: it failed; the end of its log is with it.
    """
    client = Child("client", room_command("submit", *options), env, log)
    try:
        code = await client.wait()
    finally:
        await client.stop(5)
    if code:
        raise PlaceFailed(f"the client {ended(code)}:\n{client.tail(5)}")


async def _readable(descriptor: int) -> None:
    """Wait until `descriptor` can be read, then close it."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class BlockingChild(Spawned):
    """A process whose starter blocks its thread while it waits."""

    def wait(self, timeout: float) -> int:
        """Return the exit code.

        Raises:
            subprocess.TimeoutExpired: the process still runs after `timeout` seconds.
        """
        return self._process.wait(timeout)

    def kill(self) -> int:
        self.send(signal.SIGKILL)
        return self._process.wait(10)

    def end(self, seconds: float = 5.0) -> int:
        """Terminate, and kill after `seconds`; return the exit code."""
        self.send(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return self.kill()

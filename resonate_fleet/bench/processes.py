"""Processes that a bench run starts, and what the kernel knows of them (Linux)."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from resonate_fleet.chaos.child import BlockingChild
from resonate_fleet.chaos.ports import free_port

__all__ = ["NotReady", "Process", "Processes", "free_port", "wait_for"]

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class NotReady(Exception):  # noqa: N818 - a state of a process
    """A process did not get ready; the message holds the end of its log."""


class Process(BlockingChild):
    """A running process; its output goes to `log`."""

    def strike(self) -> float:
        """Send SIGKILL; return when, in Unix seconds."""
        at = time.time()
        self.send(signal.SIGKILL)
        return at

    def cpu_seconds(self) -> float:
        """Processor time used so far, user and system; 0 where the kernel does not tell."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_bytes(self) -> int:
        """Resident memory; 0 where the kernel does not tell."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE
        except OSError:
            return 0


class Processes:
    """Starts processes with logs in `folder`; ends them all, the youngest first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # As where the fleet is installed: compiled once, not at each start.
        self.env = {"PYTHONPYCACHEPREFIX": str(Path.home() / ".cache" / "fleet-bench")}
        self._started: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.end()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Process:
        log = self.folder / f"{len(self._started):03d}-{name}.log"
        process = Process(name, command, {**self.env, **env}, log)
        self._started.append(process)
        return process

    def python(self, name: str, module: str, env: Mapping[str, str], *more: str) -> Process:
        return self.start(name, [sys.executable, "-m", module, *more], env)


def wait_for(what: str, ready: Callable[[], bool], process: Process, seconds: float = 120) -> None:
    """Wait until `ready()`.

    Raises:
        NotReady: the process has ended, or the time is over.
    """
    end = time.monotonic() + seconds
    while not ready():
        if not process.running or time.monotonic() > end:
            raise NotReady(f"{what} did not get ready:\n{process.tail()}")
        time.sleep(0.02)

"""Processes that a bench run starts, and what the kernel knows of them (Linux)."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.request import urlopen

import msgspec

from resonate_fleet.bench.jobs import Unfinished
from resonate_fleet.chaos.child import BlockingChild
from resonate_fleet.chaos.ports import HOST
from resonate_fleet.contract.journal import BadLine, Line, MemberReady, read_folder
from resonate_fleet.contract.live import LiveState

#: Whose worker serves a group.
Kind = Literal["ours", "plain"]
#: Longest wait for anything of a bench, in seconds.
GIVE_UP_SECONDS = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


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
        """Processor time used so far, user and system; 0 where the kernel does not say."""
        fields = self._kernel("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0

    def memory_bytes(self) -> int:
        """Resident memory; 0 where the kernel does not say."""
        fields = self._kernel("statm").split()
        return int(fields[1]) * _PAGE if fields else 0

    def _kernel(self, what: str) -> str:
        try:
            return Path(f"/proc/{self.pid}/{what}").read_text()
        except OSError:
            return ""


class Processes:
    """Starts processes with logs in `folder`; ends them all, the youngest first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # As where the fleet is installed: compiled once, not at each start.
        self.env = {
            "PYTHONPYCACHEPREFIX": str(Path.home() / ".cache" / "fleet-bench"),
            "PYTHONDONTWRITEBYTECODE": "",
        }
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


@dataclass
class WorkerProcess:
    """A worker process. `journal` is the folder of its journal (ours only)."""

    kind: Kind
    name: str
    process: Process
    journal: Path

    def lines(self) -> list[Line]:
        return [line for line in read_folder(self.journal) if not isinstance(line, BadLine)]

    def ready_at(self) -> float:
        """Return when it was ready for jobs, in Unix seconds."""
        return next(line.at for line in self.lines() if isinstance(line, MemberReady))

    def wait_ready(self) -> None:

        def ready() -> bool:
            if self.kind == "plain":
                return "SSE connection established" in self.process.log.read_text()
            return any(isinstance(line, MemberReady) for line in self.lines())

        wait_for(self.name, ready, self.process)


@dataclass
class StewardProcess:
    """A steward process; `port` serves its pages, `presence` its members."""

    process: Process
    port: int
    presence: int

    def state(self) -> LiveState | None:
        """Return its live state, or None where it does not answer."""
        shown = page(f"http://{HOST}:{self.port}/state")
        return msgspec.json.decode(shown, type=LiveState) if shown else None


class Spent:
    """Processor seconds that processes take from here on."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes, self._began = processes, time.monotonic()
        self._before = self._sum()

    def _sum(self) -> float:
        return sum(one.cpu_seconds() for one in self._processes)

    def seconds(self) -> float:
        return self._sum() - self._before

    def share(self) -> float:
        """Return the share of one core."""
        return self.seconds() / (time.monotonic() - self._began)


def wait_for(what: str, ready: Callable[[], bool], process: Process | None = None) -> None:
    """Wait until `ready()`.

    Raises:
        NotReady: the process has ended, or the time is over.
    """
    end = time.monotonic() + GIVE_UP_SECONDS
    while not ready():
        if time.monotonic() > end or (process and not process.running):
            log = f":\n{process.tail()}" if process else ""
            raise NotReady(f"waited in vain for {what}{log}")
        time.sleep(0.02)


async def fleet_command(*words: str) -> str:
    """Run `fleet` with these words; return what it wrote to standard output.

    Raises:
        Unfinished: it failed; it has said why.
    """
    main = (sys.executable, "-m", "resonate_fleet.commands.main")
    process = await asyncio.create_subprocess_exec(*main, *words, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    if process.returncode:
        raise Unfinished(f"fleet {words[0]} ended with {process.returncode}")
    return said.decode()


def page(url: str | None) -> str | None:
    """Return what a page says, or None where there is no answer."""
    try:
        with urlopen(url or "", timeout=5) as answer:  # noqa: S310 - our own processes
            return str(answer.read().decode())
    except (OSError, ValueError):
        return None

"""Processes that a bench run starts, and what the kernel knows of them (Linux)."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.request import urlopen

import msgspec

from resonate_fleet.chaos.child import BlockingChild, room_command
from resonate_fleet.chaos.ports import HOST
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.journal import Line, MemberReady, read_folder
from resonate_fleet.contract.live import LiveState

#: Longest wait for anything of a bench, in seconds.
GIVE_UP_SECONDS = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(BlockingChild):
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


class WorkerProcess(Process):
    """A worker of either kind. The journal of ours is in a folder named as the log."""

    def journal[L: Line](self, kind: type[L]) -> list[L]:
        """Return the lines of its journal of one kind."""
        lines = read_folder(self.log.with_suffix(""))
        return [line for line in lines if isinstance(line, kind)]

    def ready_at(self) -> float:
        """Return when it was ready for jobs, in Unix seconds."""
        return self.journal(MemberReady)[0].at

    def ready(self) -> bool:
        return bool(self.journal(MemberReady)) or (
            "SSE connection established" in self.log.read_text()  # the plain SDK's
        )


class StewardProcess(Process):
    """A steward; `port` serves its pages, `presence` its members."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path
    ) -> None:
        super().__init__(name, command, env, log)
        self.port, self.presence = env["STEWARD_PORT"], env["STEWARD_PRESENCE_PORT"]

    def state(self) -> LiveState | None:
        """Return its live state, or None where it does not answer."""
        shown = page(f"http://{HOST}:{self.port}/state")
        return msgspec.json.decode(shown, type=LiveState) if shown else None


class Spent:
    """Processor seconds that processes take from here on."""

    def __init__(self, *processes: Process) -> None:
        self._processes, self._began = processes, time.monotonic()
        self._before = self._sum()

    def _sum(self) -> float:
        return sum(one.cpu_seconds() for one in self._processes)

    def seconds(self) -> float:
        return self._sum() - self._before

    def share(self) -> float:
        """Return the share of one core."""
        return self.seconds() / (time.monotonic() - self._began)


async def until(what: str, condition: Callable[[], bool], process: Process | None = None) -> None:
    """Wait for a condition.

    Raises:
        CommandFailed: the process has ended, or the time is over; the end of its log is with it.
    """
    end = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        if time.monotonic() > end or (process and not process.running):
            log = f":\n{process.tail()}" if process else ""
            raise CommandFailed(f"waited in vain for {what}{log}")
        await asyncio.sleep(0.02)


async def fleet_command(*words: str) -> str:
    """Run `fleet` with these words; return what it wrote to standard output.

    Raises:
        CommandFailed: it failed; it has said why.
    """
    process = await asyncio.create_subprocess_exec(
        *room_command("commands.main", *words), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise CommandFailed(f"fleet {words[0]} ended with {process.returncode}")
    return said.decode()


def page(url: str) -> str | None:
    """Return what a page says, or None where there is no answer."""
    try:
        with urlopen(url, timeout=5) as answer:  # noqa: S310 - our own processes
            return str(answer.read().decode())
    except OSError:
        return None

"""The stewards of a fleet on this machine, each started again when it ends by itself."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from resonate_fleet.chaos.child import Child, StartFailed, room_command
from resonate_fleet.chaos.ports import HOST, free_port
from resonate_fleet.chaos.shape import Shape, steward_env
from resonate_fleet.contract.run import RunFolder

#: Longest wait for a steward to say that it has started, in seconds, and before one starts again.
READY_SECONDS: Final = 30.0
RESTART_SECONDS: Final = 0.1


@dataclass
class LocalSteward:
    """One steward's place. It keeps its name and ports over restarts."""

    name: str
    port: int = field(default_factory=free_port)
    presence: int = field(default_factory=free_port)
    child: Child | None = None
    #: When its process had started, in Unix seconds.
    since: float = 0.0

    @property
    def url(self) -> str:
        """Where it serves its pages."""
        return f"http://{HOST}:{self.port}"


class Stewards:
    """`ended` is told of each process that ended and is started again, in words."""

    def __init__(self, shape: Shape, folder: RunFolder, first: LocalSteward) -> None:
        self.failures: list[str] = []
        self.ended: Callable[[str], None] = lambda _: None
        self._shape = shape
        self._folder = folder
        others = [LocalSteward(f"steward-{n}") for n in range(2, shape.stewards + 1)]
        self.all = [first, *others] if shape.stewards else []
        self._restarters: list[asyncio.Task[None]] = []

    async def start(self, server: str) -> None:
        """Start all of them, the first one first: it is the longest-standing.

        Raises:
            StartFailed: one ended, or did not start in time.
        """
        for one in self.all:
            await self._start(one, server)
            self._restarters.append(asyncio.create_task(self._restart_always(one, server)))

    async def _start(self, one: LocalSteward, server: str) -> None:
        env = steward_env(self._shape, server, one.name, one.port, one.presence, self._folder.root)
        if peers := [other.url for other in self.all if other is not one]:
            env["STEWARD_CONSOLE_PEERS"] = ",".join(peers)
        log = self._folder.logs / f"{one.name}.log"
        one.child = Child(one.name, room_command("steward"), env, log)
        started = await one.child.line("steward.started", READY_SECONDS)
        one.since = float(started["at"])

    async def _restart_always(self, one: LocalSteward, server: str) -> None:
        while one.child is not None:
            code = await one.child.wait()
            self.ended(f"{one.name} ended with {code} and is started again")
            await asyncio.sleep(RESTART_SECONDS)
            try:
                await self._start(one, server)
            except StartFailed as failed:
                self.failures.append(str(failed))
                return

    def serving(self) -> LocalSteward | None:
        """Return the longest-standing one: members offer it their slots."""
        there = [one for one in self.all if one.child is not None and one.child.running]
        return min(there, key=lambda one: one.since, default=None)

    async def wait_started(self, since: float) -> bool:
        """Wait until a steward has started after `since` (Unix seconds); False where none does."""
        end = time.monotonic() + READY_SECONDS
        while not any(one.since > since for one in self.all):
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.02)
        return True

    async def stop(self) -> None:
        for restarter in self._restarters:
            restarter.cancel()
        await asyncio.gather(*self._restarters, return_exceptions=True)
        self._restarters.clear()
        for one in self.all:
            if one.child is not None:
                await one.child.stop(10)

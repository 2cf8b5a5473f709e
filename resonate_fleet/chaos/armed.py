"""A process that waits inside a container for the word to strike.

`docker exec` and `kubectl exec` take from a tenth of a second to many on a busy machine, and the
job that a strike is meant for may end meanwhile. So it is started long before; the strike itself
is one line.
"""

import asyncio
import signal
from contextlib import suppress
from typing import Final, Self

from resonate_fleet.chaos.place import PlaceFailed

#: Longest wait for the process to stand inside, and for a strike to take hold, in seconds.
SECONDS: Final = 60.0

#: The name of a signal goes to every process of the user but process 1 and itself. `fill` stops
#: them first, so that the job goes no further, and tells the kernel to take them before this one;
#: anybody may do that to processes of their own user. Then it fills the memory with a file, which
#: belongs to no process: under cgroup v1 the kernel kills the largest process alone, under v2 the
#: whole container.
PROGRAM: Final = """
import os, signal, sys

def fill():
    limit = 0
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int(open("/sys/fs/cgroup/" + file).read())
        except (OSError, ValueError):
            pass
    if not 0 < limit < 1 << 50:
        return
    os.kill(-1, signal.SIGSTOP)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) != os.getpid():
            try:
                open(f"/proc/{pid}/oom_score_adj", "w").write("1000")
            except OSError:
                pass
    held, block = os.memfd_create("held"), b"x" * (1 << 20)
    for _ in range(2 * limit >> 20):
        try:
            os.write(held, block)
        except OSError:
            pass
    os.kill(-1, signal.SIGCONT)

print("armed", flush=True)
for word in map(str.strip, sys.stdin):
    print("heard", flush=True)
    fill() if word == "fill" else os.kill(-1, getattr(signal, word))
    print("done", flush=True)
"""


class Armed:
    """One such process. It ends with its container, or by `close`. `where` names that."""

    def __init__(self, process: asyncio.subprocess.Process, where: str) -> None:
        self._process = process
        self._where = where

    @classmethod
    async def start(cls, where: str, into: str, *options: str) -> Self:
        """Start it; `into` with `options` is a command that runs another one inside, input open.

        Raises:
            PlaceFailed: nothing can be run there.
        """
        process = await asyncio.create_subprocess_exec(
            *(into, *options, "python", "-IS", "-c", PROGRAM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        one = cls(process, where)
        if not await one._answer("a process inside"):
            raise PlaceFailed(f"nothing can be run inside {where}")
        return one

    async def send(self, number: signal.Signals) -> str:
        """Send a signal to all that runs inside. One that kills is a crash."""
        await self._say(number.name)  # one that kills may end it too
        return f"{number.name} inside {self._where}"

    async def fill(self) -> str:
        """Take memory until the kernel takes the member.

        Raises:
            PlaceFailed: the container has no limit, or nobody enforces it.
        """
        if await self._say("fill"):  # it should have ended with its container
            raise PlaceFailed(f"{self._where} has no memory limit that is enforced")
        return f"memory of {self._where} filled"

    async def close(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _say(self, word: str) -> bool:
        """Say what is to be done; False where that has ended the process itself.

        Raises:
            PlaceFailed: it had ended before.
        """
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with suppress(ConnectionError):
            self._process.stdin.write(f"{word}\n".encode())
            await self._process.stdin.drain()
        if not await self._answer(word):
            raise PlaceFailed(f"{self._where} has ended")
        return await self._answer(word)

    async def _answer(self, what: str) -> bool:
        """Wait for its next line; False where it has ended."""
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        try:
            async with asyncio.timeout(SECONDS):
                return bool(await self._process.stdout.readline())
        except BaseException as over:
            await self.close()
            if isinstance(over, TimeoutError):
                raise PlaceFailed(f"{self._where}: {what} not in {SECONDS:g} s") from None
            raise

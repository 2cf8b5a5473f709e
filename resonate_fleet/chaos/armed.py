"""A process that waits inside a member's container for the word to strike.

`docker exec` takes from a tenth of a second to several, and the job that a strike is meant for may
end meanwhile. So it is started when the member is found; the strike itself is one line.
"""

import asyncio
from contextlib import suppress
from typing import Final, Self

from resonate_fleet.chaos.docker import Container
from resonate_fleet.chaos.place import PlaceFailed

#: Longest wait for the process to stand inside, and for a strike to take hold, in seconds.
SECONDS: Final = 60.0

#: `kill` ends every process of the user but process 1. `fill` stops them first, so that the job
#: goes no further, and then fills the memory, after telling the kernel to take them before it.
#: Anybody may make a process of their own user more likely to go.
PROGRAM: Final = """
import mmap, os, signal, sys
print("armed", flush=True)
word, limit = sys.stdin.readline().strip(), int(sys.argv[1])
if word == "kill":
    os.kill(-1, signal.SIGKILL)
elif word == "fill":
    os.kill(-1, signal.SIGSTOP)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) not in (1, os.getpid()):
            try:
                open(f"/proc/{pid}/oom_score_adj", "w").write("1000")
            except OSError:
                pass
    flags, held = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE, []
    for _ in range(2 * limit >> 24):
        held.append(mmap.mmap(-1, 16 << 20, flags=flags))
    os.kill(-1, signal.SIGCONT)
    sys.exit("twice the limit was taken and nobody was killed")
"""


class Armed:
    """One such process. It ends with its container, or by `close`."""

    def __init__(self, process: asyncio.subprocess.Process, container: Container) -> None:
        self._process = process
        self._container = container

    @classmethod
    async def start(cls, container: Container) -> Self:
        process = await asyncio.create_subprocess_exec(
            *("docker", "exec", "--interactive", container.id),
            *("python", "-IS", "-c", PROGRAM, str(container.memory)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        return cls(process, container)

    async def kill(self) -> str:
        """A crash: the restart policy starts the container again."""
        await self._say("kill")
        return f"kill -9 inside {self._container.name}"

    async def fill(self) -> str:
        """Take memory until the kernel takes the member.

        Raises:
            PlaceFailed: the container has no limit, or nobody enforces it.
        """
        one = self._container
        if not one.memory:
            raise PlaceFailed(f"{one.name} has no memory limit")
        if await self._say("fill") == 1:  # its own end; killed with the container, it ends with 137
            raise PlaceFailed(f"{one.name}: its memory limit is not enforced")
        return f"memory of {one.name} filled to its limit of {one.memory >> 20} MB"

    async def close(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _say(self, word: str) -> int:
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        try:
            async with asyncio.timeout(SECONDS):
                if not await self._process.stdout.readline():
                    raise PlaceFailed(f"nothing can be run inside {self._container.name}")
                with suppress(ConnectionError):
                    self._process.stdin.write(f"{word}\n".encode())
                    await self._process.stdin.drain()
                return await self._process.wait()
        except TimeoutError:
            await self.close()
            raise PlaceFailed(f"{self._container.name}: {word} not in {SECONDS:g} s") from None

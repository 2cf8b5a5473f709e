"""A process that waits inside a container for the word to strike.

`docker exec` and `kubectl exec` take from a tenth of a second to many on a busy machine, and the
job that a strike is meant for may end meanwhile. So it is started long before; the strike itself
is one line.
"""

import asyncio
import json
from contextlib import suppress
from typing import Final, Self

from resonate_fleet.chaos.place import PlaceFailed

#: Longest wait for the process to stand inside, and for a strike to take hold, in seconds.
SECONDS: Final = 60.0

#: Each line is a program to run; what programs use is loaded before.
PROGRAM: Final = """
import json, os, signal, sys
print("armed", flush=True)
for line in sys.stdin:
    print("heard", flush=True)
    exec(json.loads(line), {})
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

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def run(self, code: str) -> bool:
        """Run Python there; False where that has ended the process itself, with its container.

        Raises:
            PlaceFailed: it had ended before.
        """
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with suppress(ConnectionError):
            self._process.stdin.write(json.dumps(code).encode() + b"\n")
            await self._process.stdin.drain()
        if not await self._answer("a strike"):
            raise PlaceFailed(f"{self._where} has ended")
        return await self._answer("a strike")

    async def close(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

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

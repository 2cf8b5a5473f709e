"""A member's stream as a test reads it: whatever the server pushes, one event at a time."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

#: A stream is open for as long as the test wants.
_FOREVER = aiohttp.ClientTimeout(total=None, sock_connect=5)


class Stream:
    """An open stream. `status` is the answer to its request."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers

    async def next(self, within: float = 5.0) -> dict[str, Any]:
        """Return the next message, or fail after `within` seconds."""
        async with asyncio.timeout(within):
            while line := await self._response.content.readline():
                if line.startswith(b"data: "):
                    message: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
                    return message
                assert line == b"\n", f"not a line of this stream: {line!r}"
        raise EOFError("the server ended the stream")

    async def hint(self, within: float = 5.0) -> tuple[str, int]:
        """Return id and version of the next hint."""
        message = await self.next(within)
        assert message["kind"] == "execute", message
        task = message["data"]["task"]
        return task["id"], task["version"]

    async def silent(self, seconds: float) -> bool:
        """Whether nothing at all comes for a while, keep-alive lines included."""
        try:
            async with asyncio.timeout(seconds):
                line = await self._response.content.readline()
        except TimeoutError:
            return True
        raise AssertionError(f"not silent: {line!r}")

    async def ended(self, within: float = 5.0) -> bool:
        """Whether the server ends the stream properly, and with nothing more in it."""
        async with asyncio.timeout(within):
            return await self._response.content.read() == b""


@asynccontextmanager
async def listening(url: str, group: str, member: str) -> AsyncIterator[Stream]:
    """Listen as `member` of `group` on the server at `url`."""
    # Lines longer than aiohttp's default limit occur where a promise carries a large value.
    session = aiohttp.ClientSession(timeout=_FOREVER, read_bufsize=2**24)
    async with session, session.get(f"{url}/poll/{group}/{member}") as response:
        yield Stream(response)

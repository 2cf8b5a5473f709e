"""Reads a server's stream of messages, reconnects within a second, and reads the hints in it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import msgspec

from resonate_fleet.contract import sockets
from resonate_fleet.contract.backoff import Backoff
from resonate_fleet.contract.settings import fresh_token
from resonate_fleet.contract.sockets import keep_alive

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: Seconds without a sign of the server after which the connection ends.
SILENT_SECONDS = 20.0
#: Bytes of the server's refusal that are logged.
TOLD_BYTES = 200
#: Content type of server-sent events: a page of another kind is a proxy's.
EVENTS = "text/event-stream"


class Stream:
    """Reads `GET /poll/{group}/{name}` for as long as it runs.

    The SDK's own source has aiohttp's total timeout of five minutes. It cuts a healthy stream and,
    because `TimeoutError` is no `aiohttp.ClientError`, ends the source's loop for good. Here only
    connecting has a limit; the kernel's keepalive finds out when the server is gone.

    `message` gets the text of each event. `lost(why)` and `back(seconds)` report outages,
    `back(None)` the first connection.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        lost: Callable[[str], None],
        back: Callable[[float | None], None],
    ) -> None:
        self._url = url
        self._token = token
        self._lost = lost
        self._back = back
        self.connected = False
        #: Set with each connection that the server has accepted.
        self.opened = asyncio.Event()

    async def run(self, message: Callable[[str], None]) -> None:
        """Read and reconnect until cancelled."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=2.0)
        since, pauses = None, Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                why = "closed by the server"
                try:
                    async with session.get(self._url, headers=self._headers()) as response:
                        if response.status == 200 and response.content_type == EVENTS:
                            self._open(response, since)
                            since = None
                            pauses.reset()
                            async for text in events(response.content.iter_any()):
                                message(text)
                        else:
                            why = await _answer(response)
                except Exception as error:  # noqa: BLE001 - a token that no header takes, a defect
                    why = str(error) or repr(error)
                finally:
                    self.connected = False
                    sockets.forget(self._descriptors)
                if since is None:
                    since = time.monotonic()
                    self._lost(why)
                await asyncio.sleep(pauses.next())

    def _headers(self) -> dict[str, str]:
        token = fresh_token(self._token)
        own = {"Accept": EVENTS}
        return own | {"Authorization": f"Bearer {token}"} if token else own

    def _descriptors(self) -> list[int]:
        return [self._descriptor]

    def _open(self, response: aiohttp.ClientResponse, since: float | None) -> None:
        connection = response.connection
        if connection is not None and connection.transport is not None:
            sock = connection.transport.get_extra_info("socket")
            keep_alive(sock, SILENT_SECONDS)
            # A child that a job forks would still take messages after this process's end.
            self._descriptor = sock.fileno()
            sockets.keep_from_children(self._descriptors)
        self.connected = True
        if since is not None or not self.opened.is_set():
            first = not self.opened.is_set()
            self._back(None if first or since is None else time.monotonic() - since)
        self.opened.set()


async def _answer(response: aiohttp.ClientResponse) -> str:
    """Return the server's refusal as words."""
    told = await response.content.read(TOLD_BYTES)
    words = " ".join(told.decode("utf-8", "replace").split())
    return f"HTTP {response.status}" + (f": {words}" if words else "")


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield the data of each server-sent event in a stream of bytes."""
    rest = b""
    async for chunk in chunks:
        *blocks, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n\n")
        for block in blocks:
            lines = [line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:")]
            if lines:
                yield b"\n".join(lines).decode("utf-8", "replace")


class Hint(msgspec.Struct, frozen=True):
    """The task `id` was claimable at `version` when the server wrote this."""

    id: str
    version: int = 0


class _Data(msgspec.Struct):
    task: Hint | None = None


class _Message(msgspec.Struct):
    kind: str
    data: _Data


_decode = msgspec.json.Decoder(_Message).decode


def read_hint(text: str) -> Hint | None:
    """Return the hint in a message of the server, None for a message of another kind.

    Raises:
        ValueError: the text is no message.
    """
    message = _decode(text)
    return message.data.task if message.kind == "execute" else None

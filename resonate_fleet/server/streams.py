"""Where messages go: addresses, and the open streams of each group.

An address is `poll://any@group`, `poll://uni@group/id`, or one of the real server's others. Each
stream has a bounded buffer; a full one loses messages.
"""

import asyncio
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from resonate_fleet.server.protocol import RefusedRequest

_POLL = re.compile(
    r"(?i:poll)://(?P<cast>any|uni)(:[^@/]*)?@(?P<group>[^\s/?#@:<>^|\\\[\]]+)(:\d{1,5})?"
    r"(/(?P<id>[^?#]*))?([?#].*)?"
)


class Poll(NamedTuple):
    """A group of listeners; `id` is the member meant (`uni`) or preferred (`any`)."""

    cast: str
    group: str
    id: str | None


def poll_address(address: str) -> Poll | None:
    """Return the parts of a `poll://` address, or None for any other text."""
    found = _POLL.fullmatch(address.strip())
    return Poll(found["cast"], found["group"], found["id"] or None) if found else None


def check_address(address: str) -> str:
    """Return `address` if the real server would take it as a place to deliver to.

    This one delivers to `poll://` alone.

    Raises:
        RefusedRequest: 400.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    known = {
        "http": bool(parts.hostname),
        "https": bool(parts.hostname),
        "gcps": bool(parts.hostname) and len(parts.path) > 1,
        "bash": True,
    }
    if poll_address(address) or known.get(parts.scheme):
        return address
    raise RefusedRequest(400, f"Not an address that messages can be delivered to: {address!r}")


class AtCapacity(Exception):  # noqa: N818 - a state, not a defect
    """As many streams are open as may be."""


class OpenStream:
    """One open stream. `id` is the member that opened it."""

    def __init__(self, id: str, buffer: int) -> None:
        self.id = id
        self._buffer = buffer
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(self, payload: bytes) -> bool:
        """Buffer a message; False when it is dropped because the buffer is full."""
        if self._waiting.qsize() >= self._buffer:
            return False
        self._waiting.put_nowait(payload)
        return True

    def close(self) -> None:
        self._waiting.put_nowait(None)

    async def next(self) -> bytes | None:
        """Return the next message, or None when the stream is to end."""
        return await self._waiting.get()


class Streams:
    """All open streams. `choose` picks the place of a listener in its group."""

    def __init__(
        self, max_connections: int, buffer: int, choose: random.Random | None = None
    ) -> None:
        self._max_connections = max_connections
        self._buffer = buffer
        self._random = choose or random.Random()
        self._groups: dict[str, list[OpenStream]] = defaultdict(list)
        self._closed = False

    @contextmanager
    def listening(self, group: str, id: str) -> Iterator[OpenStream]:
        """Be a listener of `group` for a while.

        Raises:
            AtCapacity: there are too many.
        """
        if self._closed or self.count >= self._max_connections:
            raise AtCapacity
        listener = OpenStream(id, self._buffer)
        self._groups[group].append(listener)
        try:
            yield listener
        finally:
            self._groups[group].remove(listener)

    @property
    def count(self) -> int:
        return sum(map(len, self._groups.values()))

    def send(self, address: Poll, payload: bytes) -> bool:
        """Hand a message to one listener; False when it is lost."""
        group = self._groups.get(address.group)
        if not group:
            return False
        named = next((one for one in group if one.id == address.id), None)
        if named is None and address.cast == "uni":
            return False
        return (named or self._random.choice(group)).put(payload)

    def close(self) -> None:
        """End every stream, and admit no more."""
        self._closed = True
        for group in self._groups.values():
            for listener in group:
                listener.close()

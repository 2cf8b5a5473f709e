"""HTTP/1.1 as the wire needs it: POST of small bodies over kept-alive connections.

A member does little more than two requests a job. So the cost of a request in Python bounds the
jobs a second; a general client (aiohttp 3) takes several times the processor time of this one.
"""

import asyncio
import ssl
import time
from typing import cast
from urllib.parse import urlsplit

from resonate_fleet.contract.wire import Raw

#: Seconds after which an unused connection is not used again: servers close idle ones.
KEPT = 30.0
#: Most bytes of an answer's head.
HEAD_BYTES = 65_536
#: Checks for late answers in the time that one may take.
SWEEPS = 16


class Broken(OSError):  # noqa: N818 - a state of the world
    """The connection ended, or what came was no answer."""


class _Connection(asyncio.Protocol):
    """One connection, for one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[Raw] | None = None
        self._head: _Head | None = None
        self._transport: asyncio.Transport | None = None
        self.usable = True
        self.last_used = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It is a stream; uvloop's are no instances of asyncio's class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        if self._head is not None and self._head.length is None and not self._head.chunked:
            self._finish(bytes(self._buffer))  # a body that ends with its connection
        self._fail(Broken(str(error) if error else "the connection was closed without an answer"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._answer is None:
            self.close()  # nobody has asked
            return
        try:
            self._read()
        except ValueError as error:
            self._fail(Broken(f"not HTTP: {error}"))
            self.close()

    def send(self, request: bytes) -> asyncio.Future[Raw]:
        """Send a whole request; the future gets its answer."""
        assert self._transport is not None  # noqa: S101 - connected before use
        self._answer = asyncio.get_running_loop().create_future()
        self.last_used = time.monotonic()
        self._transport.write(request)
        return self._answer

    def expire(self, late: float) -> None:
        """Give up on an answer to what was sent before `late`, by the monotonic clock."""
        if self._answer is not None and self.last_used <= late:
            self._fail(TimeoutError())

    def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def _read(self) -> None:
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > HEAD_BYTES:
                    raise ValueError("its head does not end")
                return
            self._head = _Head(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            if self._head.status < 200:  # an interim answer; the real one follows
                self._head = None
                self._read()
                return
        body = self._head.body(self._buffer)
        if body is not None:
            self._finish(body)

    def _finish(self, body: bytes) -> None:
        head, self._head = self._head, None
        self._buffer.clear()
        if head is not None and head.closes:
            self.close()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done() and head is not None:
            answer.set_result(Raw(head.status, body, head.date))

    def _fail(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)


class _Head:
    """The part of an answer before its body.

    Raises:
        ValueError: the text is no such head.
    """

    def __init__(self, raw: bytes) -> None:
        first = raw.partition(b"\r\n")[0]
        version, status = first.split(b" ", 2)[:2]
        self.status = int(status)
        lines = raw[len(first) :]
        lower = lines.lower()
        length = _field(lower, lower, b"content-length")
        self.length = _size(length, 10) if length is not None else None
        self.chunked = b"chunked" in (_field(lower, lower, b"transfer-encoding") or b"")
        self.date = (_field(lines, lower, b"date") or b"").decode("latin-1")
        closes = b"close" in (_field(lower, lower, b"connection") or b"")
        self.closes = version == b"HTTP/1.0" or closes

    def body(self, buffer: bytearray) -> bytes | None:
        """Return the body if all of it is in `buffer`."""
        if self.chunked:
            return _dechunked(buffer)
        if self.length is None or len(buffer) < self.length:
            return None
        return bytes(buffer[: self.length])


def _field(lines: bytes, lower: bytes, name: bytes) -> bytes | None:
    """Return a field's value. `lower` is `lines` in lower case; each line begins with its CR LF."""
    start = lower.find(b"\r\n%b:" % name)
    if start < 0:
        return None
    value = lines[start + len(name) + 3 :]
    return value.partition(b"\r\n")[0].strip()


def _size(text: bytes, base: int) -> int:
    size = int(text, base)
    if size < 0:  # a chunk of -6 would be read for ever
        raise ValueError(f"a length of {size}")
    return size


def _dechunked(buffer: bytearray) -> bytes | None:
    parts: list[bytes] = []
    at = 0
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        size = _size(bytes(buffer[at:end]).partition(b";")[0], 16)
        at = end + 2
        if len(buffer) < at + size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(bytes(buffer[at : at + size]))
        at += size + 2


class Poster:
    """Posts to one address, with one connection for each request under way.

    `timeout` bounds one request, `connect` the time to connect, both in seconds. No request is
    repeated: without an answer it is unknown whether it took effect.
    """

    def __init__(self, url: str, timeout: float, connect: float) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        secure = parts.scheme == "https"
        self._port = parts.port or (443 if secure else 80)
        self._ssl = ssl.create_default_context() if secure else None
        self._timeout, self._connect = timeout, connect
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self._head = (
            f"POST {parts.path}/ HTTP/1.1\r\nHost: {shown}:{self._port}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None

    def close(self) -> None:
        for connection in self._all:
            connection.close()
        self._idle.clear()
        self._all.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def post(self, body: bytes) -> Raw:
        """Return the answer, whatever its status.

        Raises:
            TimeoutError: there was none in time.
            OSError: the address cannot be reached, or the connection broke.
        """
        connection = self._kept() or await self._new()
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        answer = connection.send(request)
        if self._sweep is None:
            self._sweep_later()
        try:
            reply = await answer
        except BaseException:
            connection.close()  # its answer may still come, and would meet the next request
            self._all.discard(connection)
            raise
        connection.last_used = time.monotonic()
        if connection.usable:
            self._idle.append(connection)
        else:
            self._all.discard(connection)
        return reply

    def _sweep_later(self) -> None:
        """Check for late answers now and then: a timer for each request costs more."""
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(self._timeout / SWEEPS, self._expire)

    def _expire(self) -> None:
        self._sweep = None
        late = time.monotonic() - self._timeout
        for connection in list(self._all):
            connection.expire(late)
        if len(self._all) > len(self._idle):
            self._sweep_later()

    def _kept(self) -> _Connection | None:
        """Return the idle connection that was used last, None if none is usable."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and time.monotonic() - connection.last_used < KEPT:
                return connection
            connection.close()
            self._all.discard(connection)
        return None

    async def _new(self) -> _Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._connect):
            _, connection = await loop.create_connection(
                _Connection, self._host, self._port, ssl=self._ssl
            )
        self._all.add(connection)
        return connection

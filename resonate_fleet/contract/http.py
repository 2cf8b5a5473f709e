"""HTTP/1.1 as the wire needs it: POST of small bodies over kept-alive connections.

A member does little more than two requests a job. So the cost of a request in Python bounds the
jobs a second; a general client (aiohttp 3) takes several times the processor time of this one.
"""

import asyncio
import ssl
import time
from typing import cast
from urllib.parse import urlsplit

from resonate_fleet.contract.envelope import Raw

#: Seconds after which an unused connection is not used again: servers close idle ones.
KEPT = 30.0
#: Most bytes of an answer's head.
HEAD_BYTES = 65_536


class Broken(OSError):  # noqa: N818 - a state of the world
    """The connection ended, or what came was no answer."""


class _Connection(asyncio.Protocol):
    """One connection, for one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[Raw] | None = None
        self._transport: asyncio.Transport | None = None
        self.usable = True
        self.last_used = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It is a stream; uvloop's are no instances of asyncio's class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._read(ended=True)
        self._fail(Broken(str(error) if error else "the connection was closed without an answer"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._answer is None:
            self.close()  # nobody has asked
        self._read(ended=False)

    def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    async def ask(self, request: bytes, seconds: float) -> Raw:
        assert self._transport is not None  # noqa: S101 - connected before use
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Raw] = loop.create_future()
        self._answer = answer
        late = loop.call_later(seconds, self._fail, TimeoutError())
        self._transport.write(request)
        try:
            return await answer
        except BaseException:
            self.close()  # its answer may still come, and would meet the next request
            raise
        finally:
            late.cancel()
            self.last_used = time.monotonic()

    def _read(self, *, ended: bool) -> None:
        try:
            found = _answer_in(self._buffer, ended=ended)
        except ValueError as error:
            self._fail(Broken(f"not HTTP: {error}"))
            return
        if found is None:
            return
        raw, closes = found
        self._buffer.clear()
        if closes:
            self.close()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(raw)

    def _fail(self, error: Exception) -> None:
        self.close()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)


def _answer_in(buffer: bytearray, *, ended: bool) -> tuple[Raw, bool] | None:
    """Return the answer in `buffer` once it is whole, and whether its connection ends with it.

    Raises:
        ValueError: it is no HTTP.
    """
    begin, status = 0, 0
    while status < 200:  # an interim answer comes before the real one
        end = buffer.find(b"\r\n\r\n", begin)
        if end < 0:
            if len(buffer) > HEAD_BYTES:
                raise ValueError("its head does not end")
            return None
        first, line_end, fields = bytes(buffer[begin:end]).partition(b"\r\n")
        version, code = first.split(b" ", 2)[:2]
        begin, status, fields = end + 4, int(code), line_end + fields
    lower = fields.lower()
    length = _field(lower, lower, b"content-length")
    if b"chunked" in _field(lower, lower, b"transfer-encoding"):
        body = _dechunked(buffer, begin)
    elif not length:
        body = bytes(buffer[begin:]) if ended else None
    else:
        end = begin + _size(length, 10)
        body = bytes(buffer[begin:end]) if len(buffer) >= end else None
    if body is None:
        return None
    date = _field(fields, lower, b"date").decode("latin-1")
    closes = version == b"HTTP/1.0" or b"close" in _field(lower, lower, b"connection")
    return Raw(status, body, date), closes


def _field(fields: bytes, lower: bytes, name: bytes) -> bytes:
    """Return a field's value. `lower` is `fields` in lower case; a CR LF is before each of them."""
    start = lower.find(b"\r\n%b:" % name)
    if start < 0:
        return b""
    return fields[start + len(name) + 3 :].partition(b"\r\n")[0].strip()


def _size(text: bytes, base: int) -> int:
    size = int(text, base)
    if size < 0:  # a chunk of -6 would be read for ever
        raise ValueError(f"a length of {size}")
    return size


def _dechunked(buffer: bytearray, at: int) -> bytes | None:
    parts: list[bytes] = []
    while (end := buffer.find(b"\r\n", at)) >= 0:
        size = _size(bytes(buffer[at:end]).partition(b";")[0], 16)
        at = end + 2 + size + 2
        if len(buffer) < at:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(bytes(buffer[end + 2 : at - 2]))
    return None


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
        self._busy: set[_Connection] = set()

    def close(self) -> None:
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()

    async def post(self, body: bytes) -> Raw:
        """Return the answer, whatever its status.

        Raises:
            TimeoutError: there was none in time.
            OSError: the address cannot be reached, or the connection broke.
        """
        connection = self._kept() or await self._new()
        self._busy.add(connection)
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        try:
            reply = await connection.ask(request, self._timeout)
        finally:
            self._busy.discard(connection)
        if connection.usable:
            self._idle.append(connection)
        return reply

    def _kept(self) -> _Connection | None:
        """Return the idle connection that was used last, None if none is usable."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and time.monotonic() - connection.last_used < KEPT:
                return connection
            connection.close()
        return None

    async def _new(self) -> _Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._connect):
            _, connection = await loop.create_connection(
                _Connection, self._host, self._port, ssl=self._ssl
            )
        return connection

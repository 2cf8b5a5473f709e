"""The wire without an event loop, for a one-shot client and for threads.

It uses the standard library's client: a one-shot client ends sooner than aiohttp is imported, and a
heartbeat thread must not depend on a loop.
"""

import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from resonate_fleet.contract.clock import ServerClock
from resonate_fleet.contract.envelope import Raw, encode_value, envelope, too_large
from resonate_fleet.contract.wire import Promise, Reply, Unreachable, accepted, part


class BlockingWire:
    """One kept-alive connection to one server, for one thread. Use as a context manager.

    `timeout` is the longest wait for one answer, in seconds. A request is sent again only if the
    kept connection was closed, as servers do with idle ones. If the server died under it, the
    request may be carried out twice.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = 10.0,
        clock: ServerClock | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.clock = clock or ServerClock()
        parts = urlsplit(self.url)
        self._secure = parts.scheme == "https"
        self._host = parts.netloc
        self._path = f"{parts.path}/"
        self.token = token
        self._headers = {"Content-Type": "application/json"}
        self._connection: HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def post(self, body: bytes) -> Raw:
        """Send an encoded request and return the answer, whatever its status.

        Raises:
            Unreachable: there was no answer.
        """
        if (refused := too_large(body)) is not None:
            return refused
        kept, began = self._connection is not None, time.monotonic()
        try:
            raw = self._exchange(body)
        except (OSError, HTTPException) as error:
            self.close()
            if not (kept and isinstance(error, ConnectionError)):
                late = isinstance(error, TimeoutError)
                why = "no answer in time" if late else str(error) or repr(error)
                raise Unreachable(self.url, why) from None
        else:
            self.clock.heard(raw.date, time.monotonic() - began)
            return raw
        return self.post(body)

    def _exchange(self, body: bytes) -> Raw:
        if self._connection is None:
            kind = HTTPSConnection if self._secure else HTTPConnection
            self._connection = kind(self._host, timeout=self.timeout)
        self._connection.timeout = self.timeout
        if self._connection.sock is not None:
            self._connection.sock.settimeout(self.timeout)
        self._connection.request("POST", self._path, body, self._headers)
        answer = self._connection.getresponse()
        return Raw(answer.status, answer.read(), answer.headers.get("Date", ""))

    def call(self, kind: str, data: Mapping[str, Any], accept: tuple[int, ...] = ()) -> Reply:
        """Send one request.

        Returns the reply where its status is below 400 or in `accept`.

        Raises:
            Unreachable: there was no answer, or none of this protocol.
            Refused: any other status.
        """
        raw = self.post(msgspec.json.encode(envelope(kind, data, self.token)))
        return accepted(self.url, raw, kind, accept)

    def promise(self, id: str) -> Promise | None:
        """Return the promise, or None where there is none of that id."""
        reply = self.call("promise.get", {"id": id}, accept=(404,))
        return part(self.url, reply, "promise", Promise) if reply.ok else None

    def create_promise(
        self, id: str, timeout_at: int, param: Any, tags: Mapping[str, str]
    ) -> Promise:
        """Create a promise, or return the one that has the id already: the de-duplication."""
        data = {"id": id, "timeoutAt": timeout_at, "param": encode_value(param), "tags": dict(tags)}
        return part(self.url, self.call("promise.create", data), "promise", Promise)

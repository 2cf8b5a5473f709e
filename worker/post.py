"""A blocking connection to the server, for the threads beside the event loop."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import msgspec

from contract.wire import Reply, envelope, parse


class Silent(Exception):  # noqa: N818 - a state of the world
    """The server did not answer."""


class Post:
    """Sends one request at a time. Not to be shared between threads.

    `timeout` is the longest wait for each step of the network, in seconds.
    """

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        self._url = urlsplit(url)
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout = timeout
        self._connection: HTTPConnection | None = None

    def call(self, kind: str, data: dict[str, Any]) -> Reply:
        """Send one request and return its reply, whatever the status.

        Raises:
            Silent: there was no answer. Whether the request took effect is unknown.
        """
        body = msgspec.json.encode(envelope(kind, data))
        try:
            return self._try(body) if self._connection is None else self._try_twice(body)
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            raise Silent(str(error) or repr(error)) from None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try_twice(self, body: bytes) -> Reply:
        """Try on the kept connection, and on a new one where the server has closed it."""
        try:
            return self._try(body)
        except (ConnectionError, HTTPException):
            self.close()
            return self._try(body)

    def _try(self, body: bytes) -> Reply:
        if self._connection is None:
            self._connection = self._open()
        self._connection.request("POST", f"{self._url.path}/", body, self._headers)
        return parse(self._connection.getresponse().read())

    def _open(self) -> HTTPConnection:
        secure = self._url.scheme == "https"
        kind = HTTPSConnection if secure else HTTPConnection
        port = self._url.port or (443 if secure else 80)
        return kind(self._url.hostname or "", port, timeout=self._timeout)

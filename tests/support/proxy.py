"""A proxy before a server that keeps what passes, and can be cut off."""

import json
import socket
import threading
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on to `target` (a URL) while used as a context manager.

    `requests` holds the decoded protocol requests that were seen, in order. `cut` closes all
    connections and refuses new ones until `mend`.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._is_cut = False
        self.requests: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self) -> None:
        self._is_cut = True
        for one in list(self._open):
            _close(one)

    def mend(self) -> None:
        self._is_cut = False

    def kind(self, kind: str) -> list[dict[str, Any]]:
        """Return the data of the requests of one kind."""
        return [request["data"] for request in list(self.requests) if request["kind"] == kind]

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                _close(inner)
                continue
            outer = socket.create_connection(self._target)
            self._open |= {inner, outer}
            threading.Thread(target=self._pump, args=(inner, outer, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(outer, inner, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, keep: bool) -> None:  # noqa: FBT001
        rest = b""
        with suppress(OSError):
            while chunk := source.recv(65536):
                if keep:
                    rest = self._keep(rest + chunk)
                sink.sendall(chunk)
        _close(source)
        _close(sink)

    def _keep(self, seen: bytes) -> bytes:
        """Take whole requests off `seen`, keep those of the protocol, return the rest."""
        while True:
            head, found, body = seen.partition(b"\r\n\r\n")
            if not found:
                return seen
            length = _length(head)
            if len(body) < length:
                return seen
            if length:
                self.requests.append(json.loads(body[:length]))
            seen = body[length:]


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()

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
    connections and refuses new ones until `mend`. `fail_once` has one request answered here, with
    an error of the server's, `fail` every one until `mend`.
    """

    def __init__(self, target: str, host: str = "127.0.0.1") -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._open: set[socket.socket] = set()
        self._is_cut = False
        self._failing: str | None = None
        self._once = True
        self.requests: list[dict[str, Any]] = []

    def fail_once(self, kind: str) -> None:
        """Answer the next request of this kind with 500; the server does not hear of it."""
        self._failing, self._once = kind, True

    def fail(self, kind: str) -> None:
        """Answer requests of this kind with 500 until `mend`."""
        self._failing, self._once = kind, False

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

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
        self._is_cut, self._failing = False, None

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
            threading.Thread(target=self._ask, args=(inner, outer), daemon=True).start()
            threading.Thread(target=self.pump, args=(outer, inner), daemon=True).start()

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                sink.sendall(chunk)
        _close(source)
        _close(sink)

    def _ask(self, source: socket.socket, sink: socket.socket) -> None:
        seen = b""
        with suppress(OSError):
            while chunk := source.recv(65536):
                seen += chunk
                while (end := _end_of_request(seen)) is not None:
                    whole, seen = seen[:end], seen[end:]
                    if self._passes(whole):
                        sink.sendall(whole)
                    else:
                        source.sendall(_failure(whole))
        _close(source)
        _close(sink)

    def _passes(self, whole: bytes) -> bool:
        """Keep a request of the protocol; say whether the server is to have it."""
        body = whole.partition(b"\r\n\r\n")[2]
        if not body:
            return True
        request = json.loads(body)
        self.requests.append(request)
        if request["kind"] != self._failing:
            return True
        if self._once:
            self._failing = None
        return False


class Cable(Proxy):
    """Passes on whatever comes, of any protocol."""

    def _ask(self, source: socket.socket, sink: socket.socket) -> None:
        self.pump(source, sink)


def _end_of_request(seen: bytes) -> int | None:
    """Return the length of the first request in `seen`, None where it is not whole yet."""
    head, found, body = seen.partition(b"\r\n\r\n")
    length = _length(head)
    return len(head) + 4 + length if found and len(body) >= length else None


def _failure(request: bytes) -> bytes:
    """Return what server v0.9.8 answers where its own work fails."""
    asked = json.loads(request.partition(b"\r\n\r\n")[2])
    head = {"corrId": asked["head"].get("corrId"), "status": 500, "version": "2026-04-01"}
    body = json.dumps({"kind": asked["kind"], "head": head, "data": "internal error"}).encode()
    lines = ["HTTP/1.1 500 Internal Server Error", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


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

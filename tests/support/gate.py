"""What may stand between a member and its server: a proxy that answers in the server's place."""

import http.client
import json
import select
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

#: Looks at a request (its kind and the whole of it); returns a status and a body to answer with,
#: or None to pass it on. A stream has the kind `poll`.
Answer = Callable[[str, dict[str, Any]], tuple[int, bytes] | None]


class Gate:
    """Passes requests on to `target` while used as a context manager, as `answer` allows.

    `buffering`: a stream's head is held back until data comes, as nginx does by default.
    """

    def __init__(self, target: str, *, buffering: bool = False) -> None:
        parts = urlsplit(target)
        self.target = (parts.hostname or "", parts.port or 80)
        self.buffering = buffering
        self.answer: Answer = lambda _kind, _request: None
        #: How many streams are open.
        self.streams = 0
        #: The tokens that came with requests.
        self.tokens: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(gate: Gate) -> type[BaseHTTPRequestHandler]:
    return type("GateHandler", (_GateHandler,), {"gate": gate})


class _GateHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gate: Gate

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = json.loads(body)
        self.gate.tokens.append(request["head"].get("auth", ""))
        refused = self.gate.answer(request["kind"], request)
        self._reply(*(refused if refused is not None else _forward(self.gate, body)))

    def do_GET(self) -> None:
        self.close_connection = True
        refused = self.gate.answer("poll", {"headers": dict(self.headers)})
        if refused is not None:
            self._reply(*refused)
            return
        with socket.create_connection(self.gate.target) as server:
            server.sendall(f"GET {self.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            self.gate.streams += 1
            try:
                self._pump(server)
            finally:
                self.gate.streams -= 1

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pump(self, server: socket.socket) -> None:
        held = b"" if self.gate.buffering else None
        while True:
            ready, _, _ = select.select([server, self.connection], [], [])
            if self.connection in ready:
                return  # the member has gone
            chunk = server.recv(65536)
            if not chunk:
                return
            if held is not None:
                held += chunk
                if b"data:" not in held:
                    continue
                chunk, held = held, None
            self.connection.sendall(chunk)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def _forward(gate: Gate, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*gate.target, timeout=10)
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()

"""A few pages over HTTP from a thread of its own, which a blocked event loop cannot stop."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Page:
    """What a page answers: a status and a body."""

    def __init__(
        self, body: str | bytes, status: int = 200, content_type: str = "text/plain; charset=utf-8"
    ) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.status = status
        self.content_type = content_type


#: Makes a page from the request's `Accept` header (metrics have two formats).
Handler = Callable[[str], Page]


class Pages:
    """Serves `handlers` by path (GET and HEAD) while used as a context manager.

    `port` 0 lets the system choose; `self.port` is the one in use after entering.
    """

    def __init__(self, host: str, port: int, handlers: Mapping[str, Handler]) -> None:
        self._address = (host, port)
        self._handlers = handlers
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        return int(self._server.server_address[1]) if self._server is not None else self._address[1]

    def __enter__(self) -> Self:
        server = ThreadingHTTPServer(self._address, _handler_class(self._handlers))
        server.daemon_threads = True
        self._server = server
        threading.Thread(
            target=server.serve_forever, args=(0.1,), name="pages", daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def _handler_class(handlers: Mapping[str, Handler]) -> type[BaseHTTPRequestHandler]:
    class PageHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            handler = handlers.get(self.path.partition("?")[0])
            page = (
                handler(self.headers.get("Accept", "")) if handler else Page("no such page\n", 404)
            )
            self.send_response(page.status)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page.body)

        do_HEAD = do_GET  # noqa: N815 - the base class dispatches on these names

        def log_message(self, format: str, *args: object) -> None:
            """Keep probes and scrapes out of the log."""

    return PageHandler

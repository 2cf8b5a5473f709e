"""A few pages over HTTP from a thread of its own, which a blocked event loop cannot stop."""

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Self

from resonate_fleet.contract import sockets

#: Connections that get a thread of their own. Further ones are served one after the other, hurried.
MOST = 64
#: Seconds in which a hurried request must come.
HURRIED_SECONDS = 0.5
#: The same for every other one.
REQUEST_SECONDS = 10
#: Pause after a connection could not be accepted, in seconds.
PAUSE = 0.05


class Page:
    """The answer to a request: a status and a body."""

    def __init__(
        self, body: str | bytes, status: int = 200, content_type: str = "text/plain; charset=utf-8"
    ) -> None:
        self.body = body.encode("utf-8", "replace") if isinstance(body, str) else body
        self.status = status
        self.content_type = content_type


#: Makes a page from the request's `Accept` header (metrics have two formats).
Handler = Callable[[str], Page]


class Pages:
    """Serves `handlers` by path (GET and HEAD) while used as a context manager.

    `port` 0 lets the system choose; `self.port` is the one in use after entering.

    Raises:
        OSError: the address cannot be had; the text names it.
    """

    def __init__(self, host: str, port: int, handlers: Mapping[str, Handler]) -> None:
        self._address = (host, port)
        self._handlers = handlers
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        return int(self._server.server_address[1]) if self._server is not None else self._address[1]

    def __enter__(self) -> Self:
        try:
            server = _Server(self._address, _handler_class(self._handlers))
        except OSError as error:
            host, port = self._address
            shown = f"[{host}]" if ":" in host else host
            raise OSError(error.errno, f"{shown}:{port}: {error.strerror}") from None
        self._server = server
        sockets.keep_from_children(server.descriptors)
        threading.Thread(
            target=server.serve_forever, args=(0.1,), name="pages", daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            sockets.forget(self._server.descriptors)
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    """Keeps one descriptor in reserve, so that it can answer probes when no other is left."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, *_, bound = found[0]
        self._reserve: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._open = threading.Semaphore(MOST)
        #: A request is served in the accepting thread, and must be quick.
        self.hurried = False
        super().__init__((str(bound[0]), int(bound[1])), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6 and self.server_address[0] == "::":
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)  # HTTPServer's own asks the name service, which may take long
        self.server_name, self.server_port = map(str, self.server_address[:2])  # type: ignore[assignment]  # the port is never used

    def server_close(self) -> None:
        super().server_close()
        self._give_reserve()

    def descriptors(self) -> list[int]:
        return [self.socket.fileno()]

    @property
    def is_short(self) -> bool:
        """Whether the reserve is in use."""
        return self._reserve is None

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
        self._give_reserve()
        try:
            return super().get_request()
        except OSError:
            self._take_reserve()
            time.sleep(PAUSE)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.is_short and self._open.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        self.hurried = True
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.hurried = False
            if self.is_short:
                self._take_reserve()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - given
        """Log a page's failure. A client that hangs up is none."""
        import structlog  # noqa: PLC0415 - a one-shot client does without

        log = structlog.get_logger()
        try:
            raise  # noqa: PLE0704 - called while the error is handled
        except OSError as error:
            log.debug("page.cut", why=str(error))
        except Exception:
            log.exception("page.failed")

    def _give_reserve(self) -> None:
        if self._reserve is not None:
            reserve, self._reserve = self._reserve, None
            os.close(reserve)

    def _take_reserve(self) -> None:
        try:
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            time.sleep(PAUSE)


def _handler_class(handlers: Mapping[str, Handler]) -> type[BaseHTTPRequestHandler]:
    class PageHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server: _Server

        def setup(self) -> None:
            hurried = self.server.hurried
            self.__dict__["timeout"] = HURRIED_SECONDS if hurried else REQUEST_SECONDS
            super().setup()

        def do_GET(self) -> None:
            handler = handlers.get(self.path.partition("?")[0])
            page = (
                handler(self.headers.get("Accept", "")) if handler else Page("no such page\n", 404)
            )
            self.send_response(page.status)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
            if self.server.hurried:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page.body)

        do_HEAD = do_GET  # noqa: N815 - the base class dispatches on these names

        def log_message(self, format: str, *args: object) -> None:
            """Keep probes and scrapes out of the log."""

    return PageHandler

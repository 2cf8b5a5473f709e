"""A few pages over HTTP from a thread of its own, which a blocked event loop cannot stop."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Self

from resonate_fleet.contract import sockets

#: Most connections that have sent no request yet; one more ends the oldest of them.
MOST = 64
#: Longest time of a request with its answer, in seconds: usual, and while descriptors are short.
REQUEST_SECONDS, HURRIED_SECONDS = 10.0, 0.5
#: Most bytes of a request's head.
HEAD_BYTES = 65_536
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

    `port` 0 lets the system choose; `self.port` is the one in use after entering. One descriptor is
    kept in reserve, so that probes are answered when no other is left.

    Raises:
        OSError: the address cannot be used; the text names it.
    """

    def __init__(self, host: str, port: int, handlers: Mapping[str, Handler]) -> None:
        self._host = host
        self.port = port
        self._handlers = handlers
        self._reserve: int | None = None
        #: The task of each connection that has sent no request yet, the oldest first.
        self._silent: dict[socket.socket, asyncio.Task[None]] = {}

    def __enter__(self) -> Self:
        try:
            self._listener = _listening(self._host, self.port)
        except OSError as error:
            shown = f"[{self._host}]" if ":" in self._host else self._host
            why = str(error.strerror).partition(" (while")[0]
            raise OSError(error.errno, f"{shown}:{self.port}: {why}") from None
        self.port = self._listener.getsockname()[1]
        sockets.keep_from_children(self._descriptors)
        self._take_reserve()
        self._loop = asyncio.SelectorEventLoop()
        self._accepting = self._loop.create_task(self._accept())
        self._thread = threading.Thread(target=self._run, name="pages", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        sockets.forget(self._descriptors)
        self._loop.call_soon_threadsafe(self._accepting.cancel)
        self._thread.join()
        self._loop.close()
        self._listener.close()
        self._give_reserve()

    def _descriptors(self) -> list[int]:
        return [self._listener.fileno()]

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._accepting)

    async def _accept(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    connection, _ = self._listener.accept()
                except BlockingIOError:
                    await self._coming()
                    continue
                except OSError:
                    if self._reserve is None:
                        await asyncio.sleep(PAUSE)
                    self._give_reserve()
                    continue
                connection.setblocking(False)
                self._silent[connection] = group.create_task(self._serve(connection))
                if len(self._silent) > MOST:
                    self._silent.pop(next(iter(self._silent))).cancel()
                await asyncio.sleep(0)  # lets it begin

    async def _coming(self) -> None:
        """Wait for a connection. asyncio's `sock_accept` fails at one that comes at the end."""
        coming = asyncio.Event()
        self._loop.add_reader(self._listener, coming.set)
        try:
            await coming.wait()
        finally:
            self._loop.remove_reader(self._listener)

    async def _serve(self, connection: socket.socket) -> None:
        import structlog  # noqa: PLC0415 - a one-shot client does without

        log = structlog.get_logger()
        hurried = self._reserve is None
        try:
            with connection:
                async with asyncio.timeout(HURRIED_SECONDS if hurried else REQUEST_SECONDS):
                    head = await self._head(connection)
                    self._silent.pop(connection, None)
                    if head:
                        await self._loop.sock_sendall(connection, self._answer(head))
        except OSError as error:  # a client that hangs up is no failure
            log.debug("page.cut", why=str(error))
        except Exception:
            log.exception("page.failed")
        finally:
            self._silent.pop(connection, None)
            if self._reserve is None:
                self._take_reserve()

    async def _head(self, connection: socket.socket) -> bytes:
        """Return the head of a request, nothing where it does not end."""
        head = b""
        while b"\r\n\r\n" not in head:
            more = await self._loop.sock_recv(connection, HEAD_BYTES)
            head += more
            if not more or len(head) > HEAD_BYTES:
                return b""
        return head

    def _answer(self, head: bytes) -> bytes:
        first, *fields = head.decode("latin-1").split("\r\n")
        method, _, target = first.partition(" ")
        named = {
            name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
        }
        handler = self._handlers.get(target.partition(" ")[0].partition("?")[0])
        page = handler(named.get("accept", "")) if handler else Page("no such page\n", 404)
        if method not in ("GET", "HEAD"):
            page = Page("only GET and HEAD\n", 405)
        answer = (
            f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\n"
            f"Content-Type: {page.content_type}\r\nContent-Length: {len(page.body)}\r\n"
            "Connection: close\r\n\r\n"
        ).encode()
        return answer if method == "HEAD" else answer + page.body

    def _give_reserve(self) -> None:
        if self._reserve is not None:
            reserve, self._reserve = self._reserve, None
            os.close(reserve)

    def _take_reserve(self) -> None:
        """Try to take a reserve; it is tried again later if no descriptor is left."""
        try:
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._reserve = None


def _listening(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = found[0]
    both = family == socket.AF_INET6 and host == "::"
    listener = socket.create_server(
        (str(address[0]), port), family=family, backlog=128, dualstack_ipv6=both
    )
    listener.setblocking(False)
    return listener

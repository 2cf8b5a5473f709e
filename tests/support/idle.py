"""Connections that say nothing, as a port scanner or a broken client opens them."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def idle_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Open so many; they are closed on leaving."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            for _ in range(count)
        ]


def still_open(connections: Iterable[socket.socket]) -> int:
    """Return how many of them the other side has not ended."""
    return sum(map(_is_open, connections))


def _is_open(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        while one.recv(65536):
            pass  # a greeting
    except BlockingIOError:
        return True
    except ConnectionResetError:
        pass
    return False

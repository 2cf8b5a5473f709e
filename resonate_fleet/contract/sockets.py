"""Bounds this process's sockets, notices lost peers, closes descriptors in forked children."""

import asyncio
import os
import resource
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

#: Seconds between two reports that no connection can be accepted.
SAID_SECONDS = 60.0
#: Descriptors taken if the system sets no bound.
PLENTY = 65_536
#: Most connections at once that have sent nothing yet.
MOST_STRANGERS = 256
#: Probes that go out before a silent connection ends.
PROBES = 5
#: asyncio's own message, which it repeats a thousand times a second.
_ACCEPT = "socket.accept() out of system resource"

#: Returns the descriptors of one owner.
Descriptors = Callable[[], Iterable[int]]
_owners: list[Descriptors] = []


def keep_from_children(owner: Descriptors) -> None:
    """Close the descriptors that `owner` returns in each child that a job forks.

    A child by `subprocess` inherits none: Python's sockets close on exec. A child by `os.fork`, or
    by `multiprocessing` with that method, has copies of all. After this process's end they would
    keep its port taken and its connections open.
    """
    if not _owners:
        os.register_at_fork(after_in_child=_close)
    _owners.append(owner)


def forget(owner: Descriptors) -> None:
    """Note that the owner has closed everything."""
    with suppress(ValueError):
        _owners.remove(owner)


def _close() -> None:
    """Replace each by /dev/null: an object that has its number may still close it."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for owner in _owners:
        with suppress(OSError, RuntimeError):
            for fd in list(owner()):
                if fd >= 0:  # else it is closed already
                    os.dup2(nothing, fd, inheritable=False)
    os.close(nothing)


def keep_alive(connection: socket.socket, seconds: float) -> None:
    """Have the kernel end `connection` after about `seconds` without a sign of the other side.

    After half of them the probes go out. An option that the platform lacks keeps its default.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    knobs = {
        "TCP_KEEPIDLE": max(1, round(seconds / 2)),
        "TCP_KEEPINTVL": max(1, round(seconds / 2 / PROBES)),
        "TCP_KEEPCNT": PROBES,
        "TCP_USER_TIMEOUT": round(seconds * 1000),
    }
    for knob, value in knobs.items():
        if hasattr(socket, knob):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, knob), value)


def most_strangers() -> int:
    """Raise the limit of descriptors to its most; return how many connections may be silent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = PLENTY if hard == resource.RLIM_INFINITY else hard
    if resource.RLIM_INFINITY != soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(MOST_STRANGERS, wanted // 4)


def say_once(
    loop: asyncio.AbstractEventLoop,
    say: Callable[[str], None],
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Call `say` once a minute while connections cannot be accepted, in place of asyncio's log."""
    last = float("-inf")

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal last
        if context.get("message") != _ACCEPT:
            loop.default_exception_handler(context)
        elif now() - last >= SAID_SECONDS:
            last = now()
            say(str(context.get("exception")))

    loop.set_exception_handler(handle)

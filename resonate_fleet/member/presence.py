"""Presence: a connection to the steward that the kernel closes when this process dies."""

import os
import random
import socket
import threading
from contextlib import suppress
from typing import Protocol, Self

import msgspec
import structlog

from resonate_fleet.contract.presence import (
    HINT_BYTES,
    Busy,
    Bye,
    FromMember,
    FromSteward,
    Hello,
    Hint,
    Idle,
    Released,
    Welcome,
)

#: Seconds before a lost connection is made again (the steward's grace is not much longer), and
#: between two tries to connect: first and longest.
AT_ONCE, FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.1, 1.0
log = structlog.get_logger()


class Listener(Protocol):
    """Who hears the steward. Called in the presence's own thread."""

    def released(self, task: str, version: int) -> None:
        """A lease was handed over while the steward took this member for dead."""

    def relayed(self, *, on: bool) -> None:
        """From now on the steward passes hints on, or does not any more."""

    def handed(self, task: str, version: int) -> None:
        """A hint has come that its own member could not use."""


class Presence:
    """Holds the connection while used as a context manager, in a thread of its own.

    Without a steward's `address` it does nothing.
    """

    def __init__(
        self,
        address: tuple[str, int] | None,
        hello: Hello,
        listener: Listener,
    ) -> None:
        self._address = address
        self._hello = hello
        self._listener = listener
        self._end = threading.Event()
        # A goodbye comes after the hello or in its place, never before it.
        self._speaking = threading.Lock()
        self._socket: socket.socket | None = None
        self._rest = b""  # of a line that the kernel had no room for
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def __enter__(self) -> Self:
        if self._address is not None:
            # A child that a job forks would keep the connection open beyond this one's death.
            os.register_at_fork(after_in_child=self._drop)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Say goodbye and close: this member holds nothing any more."""
        if self._end.is_set():
            return
        self._end.set()
        with self._speaking:
            if (sock := self._socket) is not None:
                with suppress(OSError):
                    sock.sendall(self._rest + _line(Bye()))
                    sock.shutdown(socket.SHUT_RDWR)

    def tell(self, message: Idle | Busy | Hint) -> None:
        """Send a message that may be lost, without waiting. May be called from any thread."""
        line = _line(message)
        if len(line) > HINT_BYTES:
            return
        with self._speaking:
            if self._socket is not None and not self._end.is_set():
                line = self._rest or line  # what was begun must be ended first
                with suppress(OSError):
                    self._rest = line[self._socket.send(line, socket.MSG_DONTWAIT) :]

    def _drop(self) -> None:
        """Close this process's copy of the connection without a word to the other side."""
        if self._socket is not None:
            with suppress(OSError):
                os.close(self._socket.detach())

    def _run(self) -> None:
        pause = 0.0
        while not self._end.wait(pause * random.uniform(0.5, 1)):
            longer = min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
            try:
                pause = AT_ONCE if self._stay() else longer
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                log.debug("presence.lost", why=str(error) or repr(error))
                pause = longer

    def _stay(self) -> bool:
        """Connect and listen until the connection ends; True if the steward welcomed us."""
        welcome = False
        assert self._address is not None  # noqa: S101 - the thread runs with an address only
        with socket.create_connection(self._address, timeout=5) as sock:
            sock.settimeout(None)
            _keep_alive(sock)
            if not self._greet(sock):
                return welcome
            try:
                with sock.makefile("rb") as lines:
                    for line in lines:
                        welcome = self._hear(msgspec.json.decode(line, type=FromSteward)) or welcome
            finally:
                self._hang_up()
        if not self._end.is_set():
            log.info("presence.lost", why="closed by the steward")
        return welcome

    def _greet(self, sock: socket.socket) -> bool:
        """Say hello, unless this member has left while it connected."""
        with self._speaking:
            if self._end.is_set():
                return False
            self._socket, self._rest = sock, b""
            sock.sendall(_line(self._hello))
            return True

    def _hang_up(self) -> None:
        with self._speaking:
            self._socket = None
        self._listener.relayed(on=False)

    def _hear(self, message: FromSteward) -> bool:
        match message:
            case Welcome(hints=hints):
                log.info("presence.held")
                self._listener.relayed(on=hints)
                return True
            case Released(tasks=tasks):
                for task, version in tasks:
                    self._listener.released(task, version)
            case Hint(task=task, version=version):
                self._listener.handed(task, version)
        return False


def _line(message: FromMember) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def _keep_alive(sock: socket.socket) -> None:
    """Let the kernel notice within 20 seconds that the steward's machine is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 2)):
        if hasattr(socket, option):  # not on every system
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

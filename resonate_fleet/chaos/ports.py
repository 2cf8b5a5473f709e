"""TCP ports for the processes of this machine."""

import random
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

HOST: Final = "127.0.0.1"
#: Ports for the fleet's own processes: from, and below.
PORTS: Final = (15_000, 32_000)


def free_port() -> int:
    """Return a TCP port that nobody listens on, and that stays ours for as long as we live.

    It is none of those that the system gives to outgoing connections (from 32768 on Linux, 49152
    elsewhere): one of these may be taken before, or between, the starts of a process. Other runs
    beside this one draw another, for each holds the UDP port of the same number until its end.
    """
    while True:
        if take(port := random.randrange(*PORTS)):
            return port


def take(port: int) -> bool:
    """Take a TCP port until our end; False where somebody listens on it or has taken it so."""
    with socket.socket(type=socket.SOCK_DGRAM) as held, suppress(OSError):
        held.bind((HOST, port))
        if is_free(port):
            held.detach()
            return True
    return False


def is_free(port: int) -> bool:
    """Say whether nobody listens on a TCP port."""
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return True
    return False


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where a fleet's own processes listen; free ports where nobody says."""

    server: int = field(default_factory=free_port)
    server_metrics: int = field(default_factory=free_port)
    steward: int = field(default_factory=free_port)
    presence: int = field(default_factory=free_port)

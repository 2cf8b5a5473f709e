"""TCP ports for the processes of this machine, and which of them can be scraped just now."""

import random
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

HOST: Final = "127.0.0.1"
#: Ports for the fleet's own processes: from, and below.
PORTS: Final = (15_000, 32_000)
#: A file for each, as scrape jobs differ: `observability/prometheus/prometheus.yml`.
SCRAPED: Final = ("worker", "steward", "server")


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


def write_targets(folder: Path, job: str, targets: Iterable[tuple[int, dict[str, str]]]) -> None:
    """Replace the file of `job` for Prometheus's `file_sd_configs`, whole: it is read meanwhile.

    `targets`: ports, and the labels that are their identity: members export none of their own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = [{"targets": [f"{HOST}:{port}"], "labels": labels} for port, labels in targets]
    new = folder / f"{job}.json.new"
    new.write_bytes(msgspec.json.encode(groups) + b"\n")
    new.rename(folder / f"{job}.json")

"""The name of a replica: `worker-2` on Compose, the host's name elsewhere.

A container's host name is its id. Only Docker's own name server knows Compose's name for it, by the
container's address.
"""

import re
import socket
import subprocess
from collections.abc import Callable

_CONTAINER_ID = re.compile(r"[0-9a-f]{12}")
#: `<project>-<service>-<number>.<project>_<network>`: Docker's name of an address.
_COMPOSE_NAME = re.compile(r"(?P<project>.+)-(?P<replica>[^.]+-\d+)\.(?P=project)_\w+")


def replica_of(full: str) -> str | None:
    """Return `worker-2` for `fleet-worker-2.fleet_backend`, None for a name of another make."""
    found = _COMPOSE_NAME.fullmatch(full)
    return found["replica"] if found else None


def ask_name_server(host: str) -> str:
    """Return the name server's name of this host's address, or nothing.

    Not `socket.gethostbyaddr`: that finds the host's id in /etc/hosts and asks no further.
    """
    try:
        address = socket.gethostbyname(host)
        asked = ["getent", "-s", "dns", "hosts", address]
        said = subprocess.run(  # noqa: S603 - a fixed command and an address
            asked, capture_output=True, text=True, check=False, timeout=2
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.split()[1] if said else ""


def own_name(host: str | None = None, ask: Callable[[str], str] = ask_name_server) -> str:
    """Return this replica's name, of letters, digits, `.`, `_` and `-`."""
    host = host or socket.gethostname()
    name = replica_of(ask(host)) if _CONTAINER_ID.fullmatch(host) else None
    return name or re.sub(r"[^\w.-]", "-", host, flags=re.ASCII)

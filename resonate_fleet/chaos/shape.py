"""What a local fleet consists of, and the settings that each of its processes gets."""

import asyncio
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from resonate_fleet.chaos.child import Child
from resonate_fleet.chaos.gate import Gate
from resonate_fleet.chaos.ports import HOST, free_port
from resonate_fleet.contract.tuning import DRAIN_SECONDS, LEASE_SECONDS, SERVER_ENV
from resonate_fleet.contract.words import DEFAULT_GROUP

#: The opt-in of a process: chaos strikes no member that was not started with it.
OPT_IN: Final = {"FLEET_CHAOS": "allowed"}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a local fleet consists of. Lease and drain in seconds.

    `server` is the address of a server that runs already; without one a server of our own is
    started: the real one where `server_bin` names its binary, else the embedded one.
    `gates` puts a door between each member and the rest, so that members can be cut off.
    """

    members: int = 3
    slots: int = 1
    lease: float = LEASE_SECONDS
    drain: float = DRAIN_SECONDS
    group: str = DEFAULT_GROUP
    stewards: int = 1
    gates: bool = False
    #: Start a member again when it ends by itself or by a strike.
    restart: bool = True
    server: str | None = None
    #: File of our own server's store; in the fleet's folder where nothing is given.
    store: Path | None = None
    server_bin: str | None = None
    token: str | None = None
    #: What members and stewards prove to each other: another one for each fleet, unless a member
    #: that is started by hand is to join and the environment has it for both.
    secret: str = field(
        default_factory=lambda: os.environ.get("FLEET_PRESENCE_SECRET") or secrets.token_hex(16)
    )
    #: More settings of every member, of the steward, of the server; they win.
    worker_env: Mapping[str, str] = field(default_factory=dict)
    steward_env: Mapping[str, str] = field(default_factory=dict)
    server_env: Mapping[str, str] = field(default_factory=dict)

    @property
    def token_env(self) -> dict[str, str]:
        return {"RESONATE_TOKEN": self.token} if self.token else {}

    @property
    def secrets(self) -> dict[str, str]:
        """What members and stewards prove, to each other and to the server."""
        return {"FLEET_PRESENCE_SECRET": self.secret, **self.token_env}


@dataclass(eq=False)
class LocalProcess:
    """A member's process, or a steward's (`presence` is its port for members).

    It keeps its name and ports over restarts. `child` is the one that runs just now. `member` is
    that one's name on the server, another one at each start; empty until it is ready. `since` is
    when it was ready, in Unix seconds.
    """

    name: str
    port: int = field(default_factory=free_port)
    presence: int = 0
    child: Child | None = None
    member: str = ""
    since: float = 0.0
    gates: list[Gate] = field(default_factory=list)
    #: Starts it again when it ends by itself.
    keeping: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it serves its pages."""
        return f"http://{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.running


def server_env(shape: Shape, port: int, metrics_port: int) -> dict[str, str]:
    return {
        **SERVER_ENV,
        "RESONATE_SERVER__PORT": str(port),
        "RESONATE_SERVER__HOST": HOST,
        "RESONATE_SERVER__BIND": HOST,
        "RESONATE_OBSERVABILITY__METRICS_PORT": str(metrics_port),
        **shape.server_env,
    }


def worker_env(shape: Shape, name: str, port: int, journal: Path) -> dict[str, str]:
    """Return a member's settings, but for the addresses that it is to use."""
    return {
        "WORKER_NAME": name,
        "WORKER_GROUP": shape.group,
        "WORKER_SLOTS": str(shape.slots),
        "WORKER_LEASE": f"{shape.lease:g}",
        "WORKER_DRAIN": f"{shape.drain:g}",
        "WORKER_HOST": HOST,
        "WORKER_PORT": str(port),
        "WORKER_JOURNAL": str(journal),
        "WORKER_LOG_FORMAT": "json",
        **shape.secrets,
    }

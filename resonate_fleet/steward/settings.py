"""Settings of the steward."""

from pathlib import Path

from resonate_fleet.contract import shared_settings
from resonate_fleet.contract.settings import (
    Kind,
    flag,
    integer,
    optional,
    path,
    seconds,
    setting,
    settings,
    text,
)
from resonate_fleet.contract.settings import name as any_name
from resonate_fleet.contract.settings import port as tcp_port
from resonate_fleet.contract.settings import url as any_url
from resonate_fleet.contract.words import DEFAULT_GROUP, PRESENCE_PORT, STEWARD_PORT


def _words(what: str, one: Kind[str]) -> Kind[tuple[str, ...]]:
    def read(raw: str) -> tuple[str, ...]:
        return tuple(one.read(word.strip()) for word in raw.split(",") if word.strip())

    return Kind(read, f"{what}, comma separated")


@settings
class StewardSettings:
    """What `python -m resonate_fleet.steward` reads from its environment."""

    url: str = setting(*shared_settings.SERVER_URL)
    token: str | None = setting(*shared_settings.SERVER_TOKEN, secret=True)
    secret: str | None = setting(*shared_settings.PRESENCE_SECRET, secret=True)
    name: str = setting(*shared_settings.replica_name("STEWARD"))
    host: str = setting(*shared_settings.host("STEWARD"))
    port: int = setting(
        "STEWARD_PORT",
        str(STEWARD_PORT),
        tcp_port(),
        "port of `/metrics`, probes, `/state`, `/quarantine` and the console",
    )
    presence_port: int = setting(
        "STEWARD_PRESENCE_PORT",
        str(PRESENCE_PORT),
        tcp_port(),
        "port to which members keep a connection",
    )
    grace: float = setting(
        "STEWARD_GRACE",
        "0.1",
        seconds(0, 60),
        "time for a member whose presence ended to come back before its leases are released",
    )
    reconnect: float = setting(
        "STEWARD_RECONNECT",
        "5",
        seconds(0, 600),
        "time after a start for members that the steward knew to come back",
    )
    keepalive: float = setting(
        "STEWARD_KEEPALIVE",
        "10",
        seconds(2, 3600),
        "a node that answers no packet for about this long is taken for dead",
    )
    interval: float = setting(
        "STEWARD_INTERVAL",
        "2",
        seconds(0.05, 600),
        "least pause between two surveys of the server; they are far rarer while hints are heard, "
        "or on a slow server",
    )
    groups: tuple[str, ...] = setting(
        "STEWARD_GROUPS",
        DEFAULT_GROUP,
        _words("names of groups", any_name("group")),
        "groups that are shown even while empty",
    )
    max_crashes: int = setting(
        "STEWARD_MAX_CRASHES",
        "3",
        integer(0, 1000),
        "a job is parked when more crashes than this are blamed on it",
    )
    policy: Path | None = setting(
        "STEWARD_POLICY",
        "",
        path(),
        "TOML file of priorities, shares and limits by group; read again on SIGHUP",
    )
    state: Path | None = setting(
        "STEWARD_STATE",
        "",
        path(),
        "file that keeps members and crash counts over its restarts, or a folder for such a file",
    )
    journal: Path | None = setting(*shared_settings.journal("STEWARD"))
    scale_in: bool = setting(
        "STEWARD_SCALE_IN",
        "false",
        flag(),
        "in Kubernetes: write pod deletion costs, so that scale-in spares busy pods",
    )
    console_token: str | None = setting(
        "STEWARD_CONSOLE_TOKEN",
        "",
        optional(text("a secret of its own")),
        "token for the page's acts: cancel, rerun, redrive, reject; without it there are none",
        secret=True,
    )
    console_kill: bool = setting(
        "STEWARD_CONSOLE_KILL",
        "false",
        flag(),
        "for demonstrations: the page may ask whoever started the members to kill one",
    )
    console_hosts: tuple[str, ...] = setting(
        "STEWARD_CONSOLE_HOSTS",
        "",
        _words("names of hosts", text(pattern=r"[A-Za-z0-9.-]+")),
        "further host names of the page, besides addresses and the cluster's own names",
    )
    console_peers: tuple[str, ...] = setting(
        "STEWARD_CONSOLE_PEERS",
        "",
        _words("addresses such as `http://localhost:9475`", any_url()),
        "pages of other stewards, to which a browser changes when this one does not answer",
    )
    console_payloads: bool = setting(
        "STEWARD_CONSOLE_PAYLOADS", "true", flag(), "show arguments and results on the page"
    )
    log_format: str = setting(*shared_settings.log_format("STEWARD"))
    log_level: str = setting(*shared_settings.log_level("STEWARD"))

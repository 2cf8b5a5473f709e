"""Settings of the steward."""

from pathlib import Path

from resonate_fleet.contract import common
from resonate_fleet.contract.settings import (
    Kind,
    flag,
    integer,
    listening_host,
    name,
    path,
    seconds,
    setting,
    settings,
    text,
)
from resonate_fleet.contract.settings import port as tcp_port
from resonate_fleet.contract.words import DEFAULT_GROUP, PRESENCE_PORT, STEWARD_PORT

#: It stands in a URL's path and in a file's name.
_NAME = text("up to 100 of A-Z, a-z, 0-9, `.`, `_`, -, or nothing", r"[A-Za-z0-9_.-]{0,100}")


def _groups() -> Kind[tuple[str, ...]]:
    one = name("group")

    def read(raw: str) -> tuple[str, ...]:
        return tuple(one.read(word.strip()) for word in raw.split(",") if word.strip())

    return Kind(read, "names of groups, comma separated")


@settings
class StewardSettings:
    """What `python -m resonate_fleet.steward` reads from its environment."""

    url: str = setting(*common.SERVER_URL)
    token: str | None = setting(*common.SERVER_TOKEN, secret=True)
    secret: str | None = setting(*common.PRESENCE_SECRET, secret=True)
    name: str = setting(
        "STEWARD_NAME",
        "",
        _NAME,
        "its name, another one for each steward of a fleet; the host's name if not given",
    )
    host: str = setting("STEWARD_HOST", "0.0.0.0", listening_host(), "where it listens")  # noqa: S104
    port: int = setting(
        "STEWARD_PORT",
        str(STEWARD_PORT),
        tcp_port(),
        "`/metrics`, probes, `/state`, `/members`, `/quarantine`",
    )
    presence_port: int = setting(
        "STEWARD_PRESENCE_PORT", str(PRESENCE_PORT), tcp_port(), "members keep a connection to it"
    )
    grace: float = setting(
        "STEWARD_GRACE",
        "0.1",
        seconds(0, 60),
        "a member whose presence ended may come back this long before its leases are released",
    )
    reconnect: float = setting(
        "STEWARD_RECONNECT",
        "5",
        seconds(0, 600),
        "after a start of the steward: members that it knew may come back this long",
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
        "least pause between two surveys of the server, which are far rarer on a slow one",
    )
    groups: tuple[str, ...] = setting(
        "STEWARD_GROUPS", DEFAULT_GROUP, _groups(), "groups that are shown even while empty"
    )
    max_crashes: int = setting(
        "STEWARD_MAX_CRASHES",
        "3",
        integer(0, 1000),
        "a job whose claims ended in more crashes than this is parked",
    )
    state: Path | None = setting(
        "STEWARD_STATE",
        "",
        path(),
        "file that keeps members and crash counts over a restart of the steward",
    )
    journal: Path | None = setting(*common.journal("STEWARD"))
    scale_in: bool = setting(
        "STEWARD_SCALE_IN",
        "false",
        flag(),
        "in Kubernetes: write pod deletion costs, so that scale-in spares busy pods",
    )
    log_format: str = setting(*common.log_format("STEWARD"))
    log_level: str = setting(*common.log_level("STEWARD"))

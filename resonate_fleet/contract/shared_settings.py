"""Settings that several processes share, declared once.

Each is what `contract.settings.setting` takes: `url: str = setting(*shared_settings.SERVER_URL)`.
"""

from pathlib import Path

from resonate_fleet.contract.settings import (
    Kind,
    choice,
    listening_host,
    optional,
    path,
    text,
    url,
)
from resonate_fleet.contract.words import SERVER_PORT

LOG_LEVELS = ("debug", "info", "warning", "error")

#: Environment name, default, how it is read, what it does.
type Declared[T] = tuple[str, str, Kind[T], str]

SERVER_URL: Declared[str] = (
    "RESONATE_URL",
    f"http://localhost:{SERVER_PORT}",
    url(),
    "Address of the server.",
)
#: A secret: nothing shows it.
SERVER_TOKEN: Declared[str | None] = (
    "RESONATE_TOKEN",
    "",
    optional(text("a bearer token: ASCII without blanks and line breaks", "[!-~]+")),
    "Bearer token for the server. A file (`RESONATE_TOKEN_FILE`) is read again when it changes.",
)
#: A secret. It never crosses the wire, see `contract.presence.prove`.
PRESENCE_SECRET: Declared[str | None] = (
    "FLEET_PRESENCE_SECRET",
    "",
    optional(text()),
    "Secret that members and stewards prove to each other; without it anyone may join.",
)


def host(process: str) -> Declared[str]:
    everywhere = "0.0.0.0"  # noqa: S104 - in a container it is reached from outside
    return f"{process}_HOST", everywhere, listening_host(), "Address on which its pages listen."


def replica_name(process: str) -> Declared[str]:
    """Return the name of a replica, which stands in a URL's path and in a file's name."""
    kind = text("up to 100 of A-Z, a-z, 0-9, `.`, `_`, -, or nothing", r"[A-Za-z0-9_.-]{0,100}")
    says = (
        "Name of this process; a member's gets a suffix. Default: the replica's, else the host's."
    )
    return f"{process}_NAME", "", kind, says


def journal(process: str) -> Declared[Path | None]:
    """Return the journal's folder of `process`, which is a prefix such as WORKER."""
    says = "Folder for its journal files; the log has the same lines."
    return f"{process}_JOURNAL", "", path(), says


def log_format(process: str) -> Declared[str]:
    kind = choice("auto", "json", "text")
    return f"{process}_LOG_FORMAT", "auto", kind, "`auto`: text on a terminal, else JSON."


def log_level(process: str) -> Declared[str]:
    return f"{process}_LOG_LEVEL", "info", choice(*LOG_LEVELS), "Lowest level that is logged."

"""Settings that several processes have: declared once, so that they mean the same everywhere.

Each is what `contract.settings.setting` takes: `url: str = setting(*common.SERVER_URL)`.
"""

from pathlib import Path

from resonate_fleet.contract.settings import Kind, choice, optional, path, url
from resonate_fleet.contract.words import SERVER_PORT

LOG_FORMATS = ("auto", "json", "text")
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
    optional("a bearer token"),
    "Sent to the server. A file (`RESONATE_TOKEN_FILE`) is read anew where it has changed.",
)
#: A secret: it never crosses the wire, see `contract.presence.prove`.
PRESENCE_SECRET: Declared[str | None] = (
    "FLEET_PRESENCE_SECRET",
    "",
    optional("any text"),
    "Members and stewards prove to each other that they know it; none: anyone is let in.",
)


def journal(process: str) -> Declared[Path | None]:
    """Return the journal's folder of `process`, which is a prefix such as WORKER."""
    return f"{process}_JOURNAL", "", path(), "Folder for its journal, besides the log."


def log_format(process: str) -> Declared[str]:
    kind = choice(*LOG_FORMATS)
    return f"{process}_LOG_FORMAT", "auto", kind, "`auto`: text on a terminal, else JSON."


def log_level(process: str) -> Declared[str]:
    return f"{process}_LOG_LEVEL", "info", choice(*LOG_LEVELS), "Least level that is logged."

"""Where messages may go: `poll://any@group`, `poll://uni@group/id` and the real server's others."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from resonate_fleet.server.protocol import RefusedRequest

_POLL = re.compile(
    r"(?i:poll)://(?P<cast>any|uni)(:[^@/]*)?@(?P<group>[^\s/?#@:<>^|\\\[\]]+)(:\d{1,5})?"
    r"(/(?P<id>[^?#]*))?([?#].*)?"
)


class Poll(NamedTuple):
    """A group of listeners; `id` is the member meant (`uni`) or preferred (`any`)."""

    cast: str
    group: str
    id: str | None


def poll_address(address: str) -> Poll | None:
    """Return the parts of a `poll://` address, or None for any other text."""
    found = _POLL.fullmatch(address.strip())
    return Poll(found["cast"], found["group"], found["id"] or None) if found else None


def check(address: str) -> str:
    """Return `address` if the real server would take it as a place to deliver to.

    Raises:
        RefusedRequest: 400.
    """
    if poll_address(address) or _elsewhere(address):
        return address
    raise RefusedRequest(400, f"Not an address that messages can be delivered to: {address!r}")


def _elsewhere(address: str) -> bool:
    """Whether this is an address that the real server delivers to and this one only accepts."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    match parts.scheme:
        case "http" | "https":
            return bool(parts.hostname)
        case "gcps":
            return bool(parts.hostname) and len(parts.path) > 1
        case "bash":
            return True
    return False

"""Who this member is."""

import platform
import secrets
from importlib import metadata

from resonate_fleet.contract.replica import own_name
from resonate_fleet.member.settings import Settings


def name_of(settings: Settings) -> str:
    """Return a name for this start of the member, under which its leases stand on the server."""
    return f"{settings.member or own_name()}-{secrets.token_hex(3)}"


def version() -> str:
    """Return the version of this package, `0` where it runs from a folder not installed."""
    try:
        return metadata.version("resonate-fleet")
    except metadata.PackageNotFoundError:
        return "0"


def about(settings: Settings, name: str) -> dict[str, str]:
    """Return what `/version` shows."""
    return {
        "member": name,
        "group": settings.group,
        "version": version(),
        "sdk": metadata.version("resonate-sdk"),
        "python": platform.python_version(),
    }

"""Ports and page of a fleet that a command starts on this machine."""

import os
import secrets
from argparse import Namespace
from collections.abc import Mapping
from typing import Final

from resonate_fleet.chaos.ports import Ports, free_port, is_free, take
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.settings import Mistake, integer
from resonate_fleet.contract.words import PRESENCE_PORT, SERVER_PORT, STEWARD_PORT

_TOKEN: Final = "STEWARD_CONSOLE_TOKEN"  # noqa: S105 - the setting's name
#: Option of each field of `Ports`, its usual port (None: any free one does), what it is.
_PORTS: Final = {
    "server": ("--port", SERVER_PORT, "of the server"),
    "server_metrics": ("--metrics-port", None, "of the server's metrics"),
    "steward": ("--steward-port", STEWARD_PORT, "of the steward's pages"),
    "presence": ("--presence-port", PRESENCE_PORT, "that members keep a connection to"),
}


# Ports: the usual ones, others where these are taken.


def add_ports(parser: Parser) -> None:
    kind = typed(integer(1, 65_535))
    for name, (option, usual, what) in _PORTS.items():
        default = f"{usual}, or a free one where that is taken" if usual else "a free one"
        about = f"{what}; default: {default}"
        parser.add_argument(option, dest=f"{name}_port", type=kind, metavar="N", help=about)


def ports(asked: Namespace) -> Ports:
    """Return the ports that were asked for, the usual ones, or free ones.

    Raises:
        Mistake: one that was asked for is taken.
    """
    found: dict[str, int] = {}
    for name, (option, usual, _) in _PORTS.items():
        port = getattr(asked, f"{name}_port")
        if port is not None and not is_free(port):
            raise Mistake(f"{option} is {port}, which is taken; accepted: a port that is free")
        found[name] = port or usual_port(usual)
    return Ports(**found)


def usual_port(usual: int | None) -> int:
    """Return the usual port, or a free one where that is taken, by a run that starts too."""
    return usual if usual is not None and take(usual) else free_port()


# The steward's page.


def console_env(*, chaos: bool) -> dict[str, str]:
    """Return the stewards' settings: with this shell's token, or one of its own for chaos."""
    token = os.environ.get(_TOKEN) or (secrets.token_urlsafe(9) if chaos else "")
    kill = {"STEWARD_CONSOLE_KILL": "true"} if chaos else {}
    return {_TOKEN: token, **kill} if token else {}


def console_line(url: str, env: Mapping[str, str]) -> str:
    """Return where the page is; the token is said where this fleet made it."""
    own = _TOKEN in env and not os.environ.get(_TOKEN)
    return f"console  {url}/" + (f"  token {env[_TOKEN]}" if own else "")

"""Ports of a fleet on this machine: the usual ones, others where these are taken."""

from argparse import Namespace
from typing import Final

from resonate_fleet.chaos.ports import Ports, free_port, is_free, take
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.settings import Mistake, integer
from resonate_fleet.contract.words import PRESENCE_PORT, SERVER_PORT, STEWARD_PORT

#: Option of each field of `Ports`, its usual port (None: any free one does), what it is.
_OPTIONS: Final = {
    "server": ("--port", SERVER_PORT, "of the server"),
    "server_metrics": ("--metrics-port", None, "of the server's metrics"),
    "steward": ("--steward-port", STEWARD_PORT, "of the steward's pages"),
    "presence": ("--presence-port", PRESENCE_PORT, "that members keep a connection to"),
}


def add_ports(parser: Parser) -> None:
    kind = typed(integer(1, 65_535))
    for name, (option, usual, what) in _OPTIONS.items():
        default = f"{usual}, or a free one where that is taken" if usual else "a free one"
        about = f"{what}; default: {default}"
        parser.add_argument(option, dest=f"{name}_port", type=kind, metavar="N", help=about)


def ports(asked: Namespace) -> Ports:
    """Return the ports that were asked for, the usual ones, or free ones.

    Raises:
        Mistake: one that was asked for is taken.
    """
    found: dict[str, int] = {}
    for name, (option, usual, _) in _OPTIONS.items():
        port = getattr(asked, f"{name}_port")
        if port is not None and not is_free(port):
            raise Mistake(f"{option} is {port}, which is taken; accepted: a port that is free")
        found[name] = port or usual_port(usual)
    return Ports(**found)


def usual_port(usual: int | None) -> int:
    """Return the usual port, or a free one where that is taken, by a run that starts too."""
    return usual if usual is not None and take(usual) else free_port()

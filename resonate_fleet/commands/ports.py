"""Ports of a fleet on this machine: the usual ones, others where these are taken."""

import socket
from argparse import Namespace
from contextlib import suppress

from resonate_fleet.chaos.ports import HOST, Ports, free_port, take
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.settings import Mistake, integer
from resonate_fleet.contract.words import PRESENCE_PORT, SERVER_PORT, STEWARD_PORT

STEWARD = "--steward-port"
#: Option and usual port of each; without a usual one any free port does.
_USUAL = {
    "--port": SERVER_PORT,
    "--metrics-port": None,
    STEWARD: STEWARD_PORT,
    "--presence-port": PRESENCE_PORT,
}
_ABOUT = {
    "--port": "of the server",
    "--metrics-port": "of the server's metrics",
    "--steward-port": "of the steward's pages",
    "--presence-port": "that members keep a connection to",
}


def add_ports(parser: Parser) -> None:
    for option, usual in _USUAL.items():
        default = f"{usual}, or a free one where that is taken" if usual else "a free one"
        about = f"{_ABOUT[option]}; default: {default}"
        parser.add_argument(option, type=typed(integer(1, 65_535)), metavar="N", help=about)


def ports(asked: Namespace) -> Ports:
    """Return the ports that were asked for, the usual ones, or free ones.

    Raises:
        Mistake: one that was asked for is taken.
    """
    return Ports(
        server=_port(asked.port, "--port"),
        server_metrics=_port(asked.metrics_port, "--metrics-port"),
        steward=_port(asked.steward_port, "--steward-port"),
        presence=_port(asked.presence_port, "--presence-port"),
    )


def _port(asked: int | None, option: str) -> int:
    if asked is not None:
        if not _free(asked):
            raise Mistake(f"{option} is {asked}, which is taken; accepted: a port that is free")
        return asked
    return usual_port(option)


def usual_port(option: str) -> int:
    """Return the usual port, or a free one where that is taken, by a run that starts too."""
    usual = _USUAL[option]
    return usual if usual is not None and take(usual) else free_port()


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind((HOST, port))
            return True
    return False

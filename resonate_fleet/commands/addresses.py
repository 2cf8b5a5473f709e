"""Where a command finds server and steward."""

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Final

from resonate_fleet.contract import common, exits
from resonate_fleet.contract.options import Parser, add_settings, read_settings
from resonate_fleet.contract.settings import setting, settings, url
from resonate_fleet.contract.wire import Refused, Unreachable, Wire
from resonate_fleet.contract.words import STEWARD_PORT

#: Longest wait for one answer, in seconds.
PATIENCE: Final = 5.0


@settings
class Addresses:
    """What commands read from the environment."""

    server: str = setting(*common.SERVER_URL)
    token: str | None = setting(*common.SERVER_TOKEN, secret=True)
    steward: str = setting(
        "FLEET_STEWARD_URL",
        f"http://localhost:{STEWARD_PORT}",
        url(),
        "The steward's page port.",
        option="--steward",
    )


def add_addresses(parser: Parser, *, steward: bool = True) -> None:
    """Give `parser` the options `--server` and `--steward`."""
    add_settings(parser, Addresses, () if steward else ("steward",))


def addresses(asked: Namespace) -> Addresses:
    """Return the addresses that were typed or that the environment has.

    Raises:
        BadSettings: they were refused.
    """
    return read_settings(Addresses, asked, os.environ)


def ask(asked: Namespace, prog: str, act: Callable[[Wire], Awaitable[None]]) -> int:
    """Do `act` with the server that is meant; return the exit code.

    Raises:
        Mistake: the server's address or the token is none.
    """
    try:
        asyncio.run(_act(addresses(asked), act))
    except (Unreachable, Refused) as failed:
        sys.stderr.write(f"{prog}: {failed}\n")
        return exits.FAILED
    return exits.OK


async def _act(where: Addresses, act: Callable[[Wire], Awaitable[None]]) -> None:
    async with Wire(where.server, where.token, PATIENCE) as wire:
        await act(wire)

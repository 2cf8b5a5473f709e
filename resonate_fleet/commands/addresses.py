"""Where a command finds server and steward."""

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from resonate_fleet.contract import common, exits
from resonate_fleet.contract.options import Parser, add_settings, read_settings
from resonate_fleet.contract.settings import Kind, setting, settings, url
from resonate_fleet.contract.wire import Refused, Unreachable, Wire
from resonate_fleet.contract.words import SERVER_PORT, STEWARD_PORT

#: Longest wait for one answer, in seconds.
PATIENCE: Final = 5.0


_STEWARD: Final = Kind(lambda raw: url().read(raw) if raw else None, f"{url().accepts}, or nothing")


@settings
class Addresses:
    """What commands read from the environment."""

    server: str = setting(*common.SERVER_URL)
    token: str | None = setting(*common.SERVER_TOKEN, secret=True)
    steward: str | None = setting(
        "FLEET_STEWARD_URL",
        "",
        _STEWARD,
        f"Address of the steward's pages; nothing: port {STEWARD_PORT} beside the server, where "
        "that is on its usual port.",
        option="--steward",
    )

    @property
    def steward_url(self) -> str | None:
        """Where a steward of this very server may be; None where nobody can tell."""
        parts = urlsplit(self.server)
        if self.steward or parts.port != SERVER_PORT:
            return self.steward
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}:{STEWARD_PORT}"


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

"""How a command that only talks to a server reaches it: `--server`, RESONATE_URL and token."""

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable

from resonate_fleet.commands.arguments import Mistake, Parser
from resonate_fleet.contract import common, exits
from resonate_fleet.contract.settings import BadSettings, load, setting, settings
from resonate_fleet.contract.wire import Refused, Unreachable, Wire

#: Longest wait for one answer, in seconds.
PATIENCE = 5.0


@settings
class Access:
    """The server and the token for it."""

    url: str = setting(*common.SERVER_URL)
    token: str | None = setting(*common.SERVER_TOKEN, secret=True)


def add_server(parser: Parser) -> None:
    parser.add_argument("--server", metavar="URL", help="default: RESONATE_URL")


def ask(asked: Namespace, prog: str, act: Callable[[Wire], Awaitable[None]]) -> int:
    """Do `act` with the server that is meant; return the exit code.

    Raises:
        Mistake: the server's address or the token is none.
    """
    try:
        access = load(Access, os.environ, {"url": asked.server})
    except BadSettings as bad:
        raise Mistake("; ".join(bad.lines)) from None
    try:
        asyncio.run(_act(access, act))
    except (Unreachable, Refused) as failed:
        sys.stderr.write(f"{prog}: {failed}\n")
        return exits.FAILED
    return exits.OK


async def _act(access: Access, act: Callable[[Wire], Awaitable[None]]) -> None:
    async with Wire(access.url, access.token, PATIENCE) as wire:
        await act(wire)

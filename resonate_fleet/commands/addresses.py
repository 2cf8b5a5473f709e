"""Where a command finds server and steward, and how it asks them, for one job or several."""

import asyncio
import os
from argparse import Namespace
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import cache
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

import msgspec

from resonate_fleet.contract import exits, shared_settings
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.options import Parser, add_settings, read_settings, tell
from resonate_fleet.contract.settings import Mistake, optional, setting, settings, url
from resonate_fleet.contract.shown import named
from resonate_fleet.contract.wire import Wire
from resonate_fleet.contract.words import SERVER_PORT, STEWARD_PORT

#: Longest wait for one answer of the server, and of the steward, in seconds.
REPLY_SECONDS: Final = 5.0
STEWARD_SECONDS: Final = 3.0


@settings
class Addresses:
    """What commands read from the environment."""

    server: str = setting(*shared_settings.SERVER_URL)
    token: str | None = setting(*shared_settings.SERVER_TOKEN, secret=True)
    steward: str | None = setting(
        "FLEET_STEWARD_URL",
        "",
        optional(url()),
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

    def ask[T](self, act: Callable[[Wire], Awaitable[T]], seconds: float = REPLY_SECONDS) -> T:
        """Return what `act` makes of the server that is meant. `seconds` bound each answer.

        Raises:
            Unreachable, Refused: as the wire does; `fleet` tells of both.
        """

        async def asked() -> T:
            async with Wire(self.server, self.token, seconds) as wire:
                return await act(wire)

        return asyncio.run(asked())

    def ask_steward[T](self, path: str, form: type[T], body: object = None) -> T | None:
        """Return what the steward answers to GET, or to POST of `body`.

        None where none answers, or none of the kit's: the answer has another form then.

        Raises:
            Mistake: it refuses what was asked, in its own words.
        """
        if self.steward_url is None:
            return None
        data = None if body is None else msgspec.json.encode(body)
        kind = {"Content-Type": "application/json"}
        request = Request(f"{self.steward_url}/{path}", data, kind)  # noqa: S310 - http or https: the setting's kind
        with suppress(OSError, HTTPException, ValueError):
            try:
                with direct().open(request, timeout=STEWARD_SECONDS) as answer:
                    return msgspec.json.decode(answer.read(), type=form)
            except HTTPError as refused:
                if refused.code in {400, 404}:
                    said = msgspec.json.decode(refused.read(), type=dict[str, str])
                    if "error" in said:
                        raise Mistake(said["error"]) from None
        return None


@cache
def direct() -> OpenerDirector:
    """Return an opener of requests to a steward. It uses no proxy of the environment.

    It reads the machine's authorities, which takes tens of milliseconds.
    """
    return build_opener(ProxyHandler({}))


def add_addresses(parser: Parser, *, steward: bool = True) -> None:
    add_settings(parser, Addresses, () if steward else ("steward",))


def addresses(asked: Namespace) -> Addresses:
    """Return the addresses that were typed or that the environment has.

    Raises:
        Mistake: they were refused.
    """
    return read_settings(Addresses, asked, os.environ)


async def each(what: str, ids: Sequence[str], act: Callable[[str], Awaitable[int | None]]) -> int:
    """Do `act` to each of `ids` once, in order; return the gravest exit code.

    `act` may return one. Its mistakes are told in the name of the command `what`.

    Raises:
        CommandFailed: the server failed; the line names what is left to do.
    """
    code = exits.OK
    left = list(dict.fromkeys(ids))
    while left:
        try:
            code = max(code, await act(left[0]) or exits.OK)
        except Mistake as mistake:
            tell(*(f"{what}: {line}" for line in mistake.lines))
            code = exits.USAGE
        except CommandFailed as failed:
            one = failed if len(ids) == 1 else CommandFailed(f"{failed}; not done: {named(left)}")
            raise one from None
        del left[0]
    return code

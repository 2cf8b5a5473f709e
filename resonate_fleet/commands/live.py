"""The live state of a fleet: by its steward, or by the server alone where none answers."""

import asyncio
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final

import msgspec

from resonate_fleet.commands.addresses import PATIENCE, Addresses
from resonate_fleet.commands.alone import by_the_server
from resonate_fleet.commands.tables import ago
from resonate_fleet.contract.live import LiveState
from resonate_fleet.contract.wire import Wire

#: Longest wait for the steward's page, in seconds.
STEWARD_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Seen:
    """How things stand. `source` says who told it and how old it is."""

    state: LiveState
    source: str
    #: Nobody knows of idle members, nor since when a claim is held, without a steward.
    steward: bool


def look(where: Addresses) -> Seen:
    """Ask the steward, else the server.

    Raises:
        Unreachable, Refused: neither answers.
    """
    asked = where.steward_url
    state = by_the_steward(asked) if asked else None
    if state is not None:
        return Seen(state, _source(state), steward=True)
    state, more = asyncio.run(_alone(where))
    says = f"no steward at {asked}" if asked else "no steward is named (--steward)"
    says += ": by the server alone, which knows no idle members"
    return Seen(state, says + ("; more waits than is counted" if more else ""), steward=False)


def by_the_steward(url: str) -> LiveState | None:
    """Return what the steward at `url` knows; None where none answers in its own words."""
    try:
        with urllib.request.urlopen(f"{url}/state", timeout=STEWARD_SECONDS) as answer:  # noqa: S310 - http or https: the setting's kind
            return msgspec.json.decode(answer.read(), type=LiveState)
    except (OSError, HTTPException, ValueError):
        return None


def _source(state: LiveState) -> str:
    if not state.as_of:
        return f"{state.steward} has not seen the server's jobs yet"
    says = f"{state.steward}, {ago(state.at - state.as_of)} old"
    if not state.serving:
        says += "; the members are served by another steward"
    return says


async def _alone(where: Addresses) -> tuple[LiveState, bool]:
    async with Wire(where.server, where.token, timeout=PATIENCE) as wire:
        return await by_the_server(wire)

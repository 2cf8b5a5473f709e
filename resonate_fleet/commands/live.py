"""The live state of a fleet: by its steward, or by the server alone where none answers."""

from dataclasses import dataclass

import msgspec

from resonate_fleet.commands.addresses import Addresses, ask, from_steward
from resonate_fleet.commands.by_server import by_the_server
from resonate_fleet.commands.tables import ago
from resonate_fleet.contract.live import LiveState


@dataclass(frozen=True)
class FleetSnapshot:
    """How things stand. `source` says by whom, and how old it is."""

    state: LiveState
    source: str


def snapshot_of(where: Addresses, state: LiveState | None) -> FleetSnapshot:
    """Return what a steward says; ask the server where none does.

    Raises:
        Unreachable, Refused: it does not answer.
    """
    if state is not None:
        return FleetSnapshot(state, _source(state))
    url = where.steward_url
    state, more = ask(where, by_the_server)
    says = f"no steward at {url}" if url else "no steward is named (--steward)"
    says += ": by the server alone, which knows no idle members"
    return FleetSnapshot(state, says + ("; more waits than is counted" if more else ""))


def by_the_steward(url: str | None) -> LiveState | None:
    """Return what the steward at `url` knows; None where none answers in its own words."""
    answer = from_steward(url, "state")
    try:
        return None if answer is None else msgspec.json.decode(answer, type=LiveState)
    except msgspec.DecodeError:
        return None


def _source(state: LiveState) -> str:
    if not state.as_of:
        return f"{state.steward} has not seen the server's jobs yet"
    says = f"{state.steward}, {ago(state.at - state.as_of)} old"
    present = any(one.state == "present" for one in state.members)
    elsewhere = present and not state.serving
    return f"{says}; the members are served by another steward" if elsewhere else says

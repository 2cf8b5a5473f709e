"""What a place is: somewhere a fleet runs and can be struck. One adapter each."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Final, Protocol

from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.run import AT_THE_FLEET, Fault, Place, Plan, RunFolder

#: Seconds between two checks of what is waited for.
CHECK_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Candidate:
    """A member that is up. `member` is its name on the server (the pid of its leases).

    `handle` is how the place knows it: a process of the fleet, a container, a pod.
    `allowed`: it carries the opt-in to be struck.
    """

    member: str
    handle: str
    allowed: bool


class PlaceFailed(CommandFailed):
    """The place could not do what was asked; the message says what it answered."""


def module_of(place: Place) -> ModuleType:
    """Return the module of a place, which is loaded only where it is asked for.

    It has `open_place`, and tables of what is done to a member (`STRIKES`) and what undoes that
    (`HEALS`).
    """
    return import_module(f"resonate_fleet.chaos.{'local' if place == 'processes' else place}")


def can(place: Place) -> frozenset[Fault]:
    """Return the faults that a place can do. A scenario that asks for others is refused."""
    return frozenset((*AT_THE_FLEET, *module_of(place).STRIKES))


def way[T](ways: Mapping[Fault, T], fault: Fault) -> T:
    """Return how a place does `fault` to a member, or undoes it.

    Raises:
        PlaceFailed: its table `ways` does not say.
    """
    if fault not in ways:
        accepted = ", ".join(ways) or "none"
        raise PlaceFailed(f"no way for {fault} at a member of this place; accepted: {accepted}")
    return ways[fault]


async def until(
    true: Callable[[], bool | Awaitable[bool]],
    seconds: float,
    what: str,
    pause: float = CHECK_SECONDS,
) -> None:
    """Check again and again until it is true.

    Raises:
        PlaceFailed: it did not become so in time.
    """
    end = asyncio.get_running_loop().time() + seconds
    while not (await found if isinstance(found := true(), Awaitable) else found):
        if asyncio.get_running_loop().time() >= end:
            raise PlaceFailed(f"{what}: not within {seconds:g} s")
        await asyncio.sleep(pause)


class Adapter(Protocol):
    """A place, seen from a run. All that takes time is awaited; answers are words for the journal.

    `start` brings up the fleet of `plan` (or makes sure that it is up) and returns when all
    members are ready. `stop` leaves nothing of ours behind and may be called at any time.
    """

    #: Address of the server as seen from here, after `start`.
    url: str
    token: str | None

    async def start(self, plan: Plan, folder: RunFolder) -> None: ...

    def addresses(self) -> dict[str, str]:
        """Return the variables with which `fleet` and the runbooks' commands find the fleet."""
        ...

    async def find(self, member: str) -> Candidate | None:
        """Return the member of that name if it is up just now, its opt-in as it is just now."""
        ...

    async def submit(self, options: list[str]) -> int:
        """Run `python -m client options...`, which sends the plan's jobs; return its exit code."""
        ...

    async def strike(self, fault: Fault, member: Candidate) -> str:
        """Do `fault` to a member, looked at once more: ours, up, the same, opted in.

        Returns when the fault has taken hold: the member is dead, frozen or cut off; one that is
        to end in order has been told so.

        Raises:
            PlaceFailed: it was not done.
        """
        ...

    async def heal(self, fault: Fault, member: Candidate) -> str:
        """End a fault that lasts for some seconds (pause, partition)."""
        ...

    async def restart_server(self, away: float) -> str:
        """Kill the server; after `away` seconds see that it is there again, on its store."""
        ...

    async def kill_steward(self) -> str:
        """Kill the steward that members offer their slots; see that it is there again."""
        ...

    async def rolling_restart(self) -> str:
        """Replace every member in turn, each ready before the next goes."""
        ...

    async def scale(self, members: int) -> str: ...

    async def end_members(self) -> None:
        """After the run: end the members in order where the fleet is the run's own.

        What they still do while they end is then in the records; a fleet that only lent itself
        is left as it is.
        """
        ...

    async def collect(self, folder: RunFolder) -> None:
        """Bring the journals of all processes into `folder.journal`."""
        ...

    async def stop(self) -> None: ...

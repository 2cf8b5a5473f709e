"""What a place is: where a fleet runs and can be struck. Each place has an adapter."""

import asyncio
import signal
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Literal, Self, get_args

from resonate_fleet.chaos.options import ChaosOptions
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.run import Place, Plan, RunFolder

#: Seconds between two checks of what is waited for.
CHECK_SECONDS: Final = 0.05

#: A container or pod that may be struck carries this label with this value.
OPT_IN: Final = ("fleet.chaos", "allowed")

#: Methods of `Adapter` that a place may have or not; a fault says which of them it needs.
Ability = Literal[
    "kill",
    "replace",
    "terminate",
    "signal",
    "run",
    "cut_off",
    "connect",
    "take_away",
    "restart_members",
    "scale",
]


class PlaceFailed(CommandFailed):
    """The place could not do what was asked; the message says what it answered."""


@dataclass(frozen=True)
class Victim[Handle]:
    """A process that may be struck: a member (by its name on the server), a steward or the server.

    `handle` is what the place knows it by: a process of the fleet, a container, a pod.
    """

    name: str
    handle: Handle


class Adapter[Handle](ABC):
    """A place, seen from a run. All that takes time is awaited; answers are words for the journal.

    `start` brings up the fleet of `plan` (or makes sure that it is up) and returns when all
    members are ready. `stop` leaves nothing of ours behind and may be called at any time.
    What could not be done is a `PlaceFailed`.
    """

    #: Address of the server as seen from here, after `start`.
    url: str = ""
    token: str | None = None

    @classmethod
    @abstractmethod
    def chosen(cls, options: ChaosOptions) -> Self:
        """Return the place that the options ask for."""

    @abstractmethod
    async def start(self, plan: Plan, folder: RunFolder) -> None: ...

    @abstractmethod
    def addresses(self) -> dict[str, str]:
        """Return the variables with which `fleet` and the runbooks' commands find the fleet."""

    @abstractmethod
    async def submit(self, options: list[str]) -> None:
        """Run `python -m client options...` to its end, which sends the plan's jobs.

        Raises:
            PlaceFailed: it failed.
        """

    @abstractmethod
    async def end_members(self) -> None:
        """After the run: end the members in order where the fleet is the run's own.

        What they still do while they end is then in the records; a fleet that only lent itself
        is left as it is.
        """

    @abstractmethod
    async def collect(self, folder: RunFolder) -> None:
        """Bring the journals of all processes into `folder.journal`."""

    @abstractmethod
    async def stop(self) -> None: ...

    @abstractmethod
    async def find(self, member: str) -> Victim[Handle] | None:
        """Return the member of that name if it is up just now."""

    @abstractmethod
    async def look_again(self, member: Victim[Handle]) -> None:
        """Check right before a strike that a member is ours, up, unchanged and opted in.

        Raises:
            PlaceFailed: it must not be struck.
        """

    @abstractmethod
    async def steward(self) -> Victim[Handle]:
        """Return the steward that members offer their slots, opted in."""

    @abstractmethod
    async def server(self) -> Victim[Handle]:
        """Return the server, opted in."""

    # Abilities. Each returns when it has taken hold, but for `terminate`.

    async def kill(self, victim: Victim[Handle]) -> str:
        """Kill it at once."""
        raise NotImplementedError

    async def replace(self, victim: Victim[Handle]) -> str:
        """Kill it and see that it, or another in its stead, is there again."""
        raise NotImplementedError

    async def terminate(self, member: Victim[Handle]) -> str:
        """Tell it to end in order."""
        raise NotImplementedError

    async def signal(self, member: Victim[Handle], number: signal.Signals) -> str:
        """Send its processes a signal."""
        raise NotImplementedError

    async def run(self, member: Victim[Handle], code: str) -> bool:
        """Run Python beside it; return whether it lived on."""
        raise NotImplementedError

    async def cut_off(self, member: Victim[Handle]) -> str:
        """Cut it off from server and stewards."""
        raise NotImplementedError

    async def connect(self, member: Victim[Handle]) -> str:
        """Connect it again."""
        raise NotImplementedError

    async def take_away(self, victim: Victim[Handle], seconds: float) -> str:
        """Kill it, and start it after `seconds`, also when the run is given up meanwhile."""
        raise NotImplementedError

    async def restart_members(self) -> str:
        """Replace every member in turn, in order, each ready before the next goes."""
        raise NotImplementedError

    async def scale(self, members: int) -> str:
        """Scale to so many members."""
        raise NotImplementedError


type AnyAdapter = Adapter[Any]


def adapter_of(place: Place) -> type[AnyAdapter]:
    """Return the class of a place; its module is loaded only where it is asked for."""
    adapter: type[AnyAdapter] = import_module(f"resonate_fleet.chaos.{place}").ADAPTER
    return adapter


def abilities(place: Place) -> frozenset[Ability]:
    """Return what a place is able to do: what its class has of its own."""
    able: tuple[Ability, ...] = get_args(Ability)
    one = adapter_of(place)
    return frozenset(name for name in able if getattr(one, name) is not getattr(Adapter, name))


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

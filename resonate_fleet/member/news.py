"""Who hears the stewards, and what they are to be told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from resonate_fleet.contract.presence import Holding, Report


class Listener(Protocol):
    """Who hears the stewards, and knows what they are to be told. Called on the event loop."""

    def assigned(self, tasks: Sequence[tuple[str, int]], *, offered: bool) -> None:
        """Claim these. `offered`: the steward is the one that the slots are offered to."""

    def released(self, tasks: Sequence[tuple[str, int]]) -> None:
        """These leases were handed over while a steward took this member for dead."""

    def cancelled(self, tasks: Sequence[str]) -> None:
        """These jobs were cancelled."""

    def withdrawn(self) -> None:
        """What was offered counts no more: there is another steward, or none."""

    def alone(self, *, on: bool) -> None:
        """There has been no steward for a while, or there is one again."""

    def offer(self) -> int:
        """Return how many slots are free and were not offered before; they are from now on."""
        ...

    def held(self) -> list[Holding]: ...


@dataclass
class News:
    """What the next report is to say."""

    claimed: list[tuple[str, int, str]] = field(default_factory=list)
    refused: list[tuple[str, int]] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    declined: list[tuple[str, str]] = field(default_factory=list)
    ended: list[tuple[str, int, str]] = field(default_factory=list)
    full: list[str] | None = None

    def report(self, free: int) -> Report:
        return Report(
            free, self.claimed, self.refused, self.returned, self.declined, self.ended, self.full
        )

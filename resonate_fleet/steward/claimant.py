"""A member as the matcher knows it."""

from dataclasses import dataclass, field

from resonate_fleet.steward.waiting import Waiting


@dataclass(slots=True, eq=False)
class Claimant:
    """`assigned` wait for its word; `owed` have waited too long and went on to others.

    It may still claim what it owes a word for, so each of these fills a slot, and it gets no new
    task meanwhile.

    `full`: functions of which it may begin no more; `bounded`: those that ever were.
    """

    name: str
    slots: int
    functions: frozenset[str]
    full: frozenset[str] = frozenset()
    bounded: frozenset[str] = frozenset()
    credits: int = 0
    assigned: dict[str, Waiting] = field(default_factory=dict)
    owed: set[str] = field(default_factory=set)

    def runs(self, function: str) -> bool:
        """Whether it may begin one more of the function."""
        return function in self.functions and function not in self.full

    def may_begin(self, function: str) -> bool:
        """Whether it may get one more. Where there is a limit, each one's claim is waited for."""
        return self.runs(function) and not (
            function in self.bounded
            and any(one.needs == function for one in self.assigned.values())
        )

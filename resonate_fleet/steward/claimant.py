"""Members as the matcher knows them, and what was assigned to them. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field

from resonate_fleet.steward.subqueues import Waiting


@dataclass(slots=True, eq=False)
class Claimant:
    """A member. It has not answered for `assigned`, nor for `owed`, which others got since.

    It may still claim an owed task. So each of them fills a slot, and it gets no new task until it
    has answered.

    `full`: functions of which it may begin no more now; `bounded`: functions that ever were full.
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
        """Whether it may get one more. Of a bounded function it gets one assignment at a time."""
        return self.runs(function) and not (
            function in self.bounded
            and any(one.needs == function for one in self.assigned.values())
        )


def why_nobody(function: str, members: Collection[Claimant]) -> str:
    """Return why none of the members may begin a function just now, "" if one may."""
    if not function or any(one.runs(function) for one in members):
        return ""
    if any(function in one.functions for one in members):
        return f"as many of the function {function} run as may"
    return f"nobody has the function {function}"


@dataclass(slots=True, eq=False)
class Assigned:
    """An assigned task. `newer`: the task at a later version, if that was heard meanwhile."""

    member: Claimant
    waiting: Waiting
    deadline: float
    newer: Waiting | None = None

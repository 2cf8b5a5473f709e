"""Members as the matcher knows them. Pure."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from resonate_fleet.steward.waiting import Waiting


@dataclass(slots=True, eq=False)
class Claimant:
    """A member. It has not answered for `assigned`, nor for `owed`, which others got meanwhile.

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


class Claimants:
    """The members of one group. `mixed`: some member lacks a function that another has."""

    def __init__(self) -> None:
        self.mixed = False
        #: Members with credits, the next one first.
        self.ready: OrderedDict[str, Claimant] = OrderedDict()
        self._members: dict[str, Claimant] = {}

    def get(self, member: str) -> Claimant | None:
        return self._members.get(member)

    def join(self, member: str, slots: int, functions: Iterable[str]) -> None:
        self._members[member] = Claimant(member, slots, frozenset(functions))
        self._compare()

    def leave(self, member: str) -> Claimant | None:
        one = self._members.pop(member, None)
        if one is not None:
            self._compare()
            self.ready.pop(member, None)
        return one

    def _compare(self) -> None:
        self.mixed = len({one.functions for one in self._members.values()}) > 1

    def credit(self, member: str, count: int) -> None:
        """Note `count` more free slots; nobody has more of them than slots."""
        one = self._members[member]
        left = one.slots - one.credits - len(one.assigned) - len(one.owed)
        one.credits += max(0, min(count, left))
        self.make_ready(one)

    def withdraw(self, member: str) -> None:
        self._members[member].credits = 0
        self.ready.pop(member, None)

    def filled(self, member: str, functions: Iterable[str]) -> None:
        one = self._members[member]
        one.full = frozenset(functions)
        one.bounded |= one.full

    def make_ready(self, one: Claimant) -> None:
        """Put a member last in `ready` if it has a credit and owes no answer."""
        if one.credits and not one.owed:
            self.ready.setdefault(one.name, one)

    def first_again(self, passed: Iterable[Claimant]) -> None:
        """Put members first in `ready`, each before the one put there before."""
        for one in passed:
            self.ready[one.name] = one
            self.ready.move_to_end(one.name, last=False)

    def why_nobody(self, function: str) -> str:
        """Return why no member may begin a function just now, "" if one may."""
        members = self._members.values()
        if not function or any(one.runs(function) for one in members):
            return ""
        if any(function in one.functions for one in members):
            return f"as many of the function {function} run as may"
        return f"nobody has the function {function}"

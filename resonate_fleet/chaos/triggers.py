"""Which strike is due: pure functions over what the server shows at one moment."""

from typing import Final

import msgspec

from resonate_fleet.chaos.scenario import StrikeOrder
from resonate_fleet.contract.faults import AT_A_MEMBER
from resonate_fleet.contract.ids import root_of

#: A busy member is struck in the middle of its job: neither before it has done anything nor so
#: late that the job may end between the look and the strike.
EARLY, LATE = 0.15, 0.7
#: A job beyond this part of its cost may end before a strike lands; it is left alone.
TOO_LATE: Final = 0.97


class HeldLease(msgspec.Struct, frozen=True, kw_only=True):
    """A held lease of the run, by the server. `part`, 0 to 1: how far the job is."""

    task: str
    version: int
    member: str
    part: float = 0.0

    @property
    def job(self) -> str:
        return root_of(self.task)


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at one moment. `elapsed`: seconds since the load began.

    `ended` holds the jobs that have ended or are parked; `total` counts all of the plan.
    """

    elapsed: float
    total: int
    holds: tuple[HeldLease, ...]
    ended: frozenset[str]

    @property
    def done(self) -> int:
        return len(self.ended)


def due(order: StrikeOrder, snapshot: RunState, spared: frozenset[str]) -> HeldLease | None:
    """Return the victim's lease if `order` is due; where that is no member's, any lease.

    `spared`: members that are under a strike now.
    """
    if order.fault not in AT_A_MEMBER:
        # With nothing held there would be nothing to lose, and nothing proved.
        return next(iter(snapshot.holds), None) if _by_clock(order, snapshot) else None
    holds = [hold for hold in snapshot.holds if hold.member not in spared]
    if order.job:
        found = [hold for hold in holds if _reached(order, hold, snapshot)]
    elif _by_clock(order, snapshot):
        found = [hold for hold in holds if EARLY <= hold.part <= LATE]
    else:
        found = []
    if not found:
        return None
    found.sort(key=lambda hold: (hold.task, hold.version))
    return found[min(int(order.draw * len(found)), len(found) - 1)]


def _by_clock(order: StrikeOrder, snapshot: RunState) -> bool:
    """Say whether an order is due by time or by the share of ended jobs."""
    if order.when.done is not None:
        return snapshot.done >= order.when.done * snapshot.total
    return snapshot.elapsed >= (order.when.after or 0.0)


def _reached(order: StrikeOrder, hold: HeldLease, snapshot: RunState) -> bool:
    """Say whether the order's job is far enough, or, where it ended unseen, another one.

    On a busy machine a job may begin and end between two looks. Any job in its middle serves the
    strike as well; a later attempt is that of its own job alone.
    """
    far = order.when.part <= hold.part <= max(TOO_LATE, order.when.part)
    meant = hold.job == order.job or (order.attempt == 1 and order.job in snapshot.ended)
    return meant and hold.version >= order.attempt and far


def hopeless(order: StrikeOrder, snapshot: RunState) -> str | None:
    """Return why `order` can never become due any more, or None."""
    if order.attempt > 1 and order.job in snapshot.ended:
        part = f"{order.when.part:.0%}"
        return f"{order.job} ended before attempt {order.attempt} at {part} of it was seen"
    if snapshot.done >= snapshot.total:
        return "every job had ended before its moment came"
    return None

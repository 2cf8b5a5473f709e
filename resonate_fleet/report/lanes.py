"""Where each attempt stands in its member's lane: one row a slot."""

import msgspec

from resonate_fleet.contract.shown import natural
from resonate_fleet.report.facts import AttemptFacts, Facts, MemberFacts

#: A slot's next claim is under way while the last outcome is being written: for so many seconds
#: two attempts may stand in one row.
BESIDE = 0.1


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A member with its attempts, each with the row (from 0) that it fills."""

    member: MemberFacts
    rows: list[tuple[AttemptFacts, int]]
    height: int


def lanes(facts: Facts) -> list[Lane]:
    """Return a lane a member; those of one name but for the last part stand together.

    A member's name ends with a few digits of this one start (`member.life`).
    """
    ordered = sorted(facts.members.values(), key=lambda one: (_stem(one.name), one.started))
    return [lane(member) for member in ordered]


def _stem(name: str) -> list[tuple[int, int, str]]:
    """Return what sorts members by the name that stays over restarts."""
    return natural(name.rpartition("-")[0] or name)


def lane(member: MemberFacts) -> Lane:
    """Put each attempt into the first row that is free when it begins."""
    busy_until: list[float] = []
    rows: list[tuple[AttemptFacts, int]] = []
    for attempt in sorted(member.attempts, key=lambda one: one.began):
        free = [row for row, until in enumerate(busy_until) if until <= attempt.began]
        row = free[0] if free else _soon_free(busy_until, attempt.began, member.slots)
        busy_until[row : row + 1] = [attempt.until]
        rows.append((attempt, row))
    return Lane(member=member, rows=rows, height=max(len(busy_until), member.slots))


def _soon_free(busy_until: list[float], at: float, slots: int) -> int:
    """Return the row whose attempt is as good as over where all slots have one, or a new row."""
    first = min(busy_until, default=at)
    if len(busy_until) >= slots and first <= at + BESIDE:
        return busy_until.index(first)
    return len(busy_until)

"""What became of work that was interrupted: when it was taken up again, and when it should be.

And the figures of each strike that come of it. Pure.
"""

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Literal

import msgspec

from resonate_fleet.contract import faults, run
from resonate_fleet.contract.tuning import SERVER_ENV
from resonate_fleet.report.bound import free_slots
from resonate_fleet.report.facts import (
    RENEWED,
    AttemptFacts,
    Facts,
    Recovery,
    StrikeFacts,
)

Against = Literal["sooner", "as predicted", "later"]
#: Precision of the times that processes write, in seconds.
EXACT = 0.01
#: Longest time for a look at the server and for a hint or a search to fill a free slot, in seconds.
LOOK = 0.5
#: Longest pause of a member between two tries to reach the server, in seconds (`member`).
RECONNECT = 1.0
#: The server looks for lapsed leases this often, in seconds.
SCAN = int(SERVER_ENV["RESONATE_TIMEOUTS__POLL_INTERVAL"]) / 1000


def recoveries(facts: Facts) -> list[Recovery]:
    """Return what became of each interrupted claim that stands in a journal, in time order."""
    found: list[Recovery] = []
    slot_wait = _slot_waits(facts)
    for one in facts.attempts():
        record = facts.record_of(one.task)
        settled = record and record.promise.state != "pending"
        again = record and record.task and record.task.version > one.number
        if one.interrupted and (again or not settled):  # else it was settled at this very claim
            found.append(_recovery(facts, one, slot_wait))
    return sorted(found, key=lambda one: one.at)


def _recovery(facts: Facts, attempt: AttemptFacts, slot_wait: Callable[[float], float]) -> Recovery:
    strike, at, way, free = strike_behind(facts, attempt), attempt.until, "lapsed", None
    if handed := facts.handed_over.get(attempt.claim):
        way, free = "handed-over", handed.line.at
    elif attempt.outcome in ("released", "unknown-function"):
        way, free = "released", attempt.until
    if strike and strike.fault in (*faults.FREEZING, *faults.DRAINING) and way != "released":
        at = strike.at  # the member outlived it for a while
    low, high = predicted(facts.evidence.plan, way)
    high += slot_wait(at + low if free is None else free)
    return Recovery(
        attempt=attempt,
        follower=facts.next_claim(*attempt.claim),
        strike=strike,
        at=at,
        way=way,
        free=free,
        low=low,
        high=max(high, _server_back(facts, at, at + high) - at),
    )


def strike_behind(facts: Facts, attempt: AttemptFacts) -> StrikeFacts | None:
    """Return the strike that interrupted an attempt: on its member, or on all, while it ran.

    The last one on its own member comes first. Without any, one counts that was up to a second
    before or after it: times are written a moment before or after what they date.
    """
    for slack in (0.0, 1.0):
        near = [one for one in facts.strikes if _during(one, attempt, slack)]
        if near:
            return max(near, key=lambda one: (one.target == attempt.member, one.at))
    return None


def _during(strike: StrikeFacts, attempt: AttemptFacts, slack: float) -> bool:
    if strike.target != attempt.member and strike.fault in faults.AT_A_MEMBER:
        return False
    over = strike.healed or (attempt.until if strike.fault in faults.DEADLY else strike.at + 60)
    return strike.asked <= attempt.until + slack and over >= attempt.began - slack


def predicted(plan: run.Plan | None, way: str) -> tuple[float, float]:
    """Return the least and the most seconds from an interruption to the next claim by a free slot.

    The steward waits its grace and looks once. At most the whole lease is left, and at least what
    remains where a member renews in time; the server's scan comes on top.
    """
    if plan is None:
        return 0.0, 0.0
    if way == "handed-over":
        return plan.grace, plan.grace + LOOK + run.TRAITS[plan.place].notice
    if way == "released":
        return 0.0, LOOK
    return plan.lease * (1 - RENEWED), plan.lease + SCAN + LOOK


def _server_back(facts: Facts, begin: float, end: float) -> float:
    """Return when the work of `begin` to `end` could go on, if the server was away in between."""
    backs = [
        one.healed
        for one in facts.strikes
        if one.fault in faults.AT_THE_SERVER
        and one.healed
        and one.at <= end
        and one.healed >= begin
    ]
    return max(backs) + RECONNECT + LOOK if backs else begin


def _slot_waits(facts: Facts) -> Callable[[float], float]:
    """Return a function of a time: the seconds from it until a living member had a free slot."""
    free = sorted(free_slots(facts.members.values()))
    begins = [begin for begin, _, _ in free]
    ends = list(accumulate((end for _, end, _ in free), max))

    def wait(at: float) -> float:
        begun = bisect_right(begins, at)
        if begun == len(begins) or (begun and at < ends[begun - 1]):
            return 0.0
        return begins[begun] - at

    return wait


class StrikeFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One strike: what it interrupted, and its slowest recovery beside the prediction.

    `at` is in seconds from the start of the run. `seconds` is None where nothing had to be taken
    up again. The prediction is that of the slowest one, `predicted_high` with the wait for the
    first free slot in it.
    """

    strike: int
    fault: str
    target: str
    at: float
    held: int
    interrupted: int
    seconds: float | None = None
    predicted_low: float | None = None
    predicted_high: float | None = None
    way: str = ""
    #: The measured time against the prediction.
    against: Against | None = None


def strike_figures(facts: Facts, found: list[Recovery]) -> list[StrikeFigure]:
    """Return a figure for each strike that was done, in time order."""
    figures: list[StrikeFigure] = []
    for strike in facts.strikes:
        mine = [one for one in found if one.strike is strike]
        slowest = max(mine, key=lambda one: one.seconds or 0.0, default=None)
        figure = StrikeFigure(
            strike=strike.strike,
            fault=strike.fault,
            target=strike.target,
            at=round(strike.at - facts.began, 3),
            held=len(strike.held),
            interrupted=len(mine),
        )
        if slowest and slowest.seconds is not None:
            against: Against = "later" if slowest.seconds > slowest.high + EXACT else "as predicted"
            figure = msgspec.structs.replace(
                figure,
                seconds=round(slowest.seconds, 3),
                predicted_low=round(slowest.low, 3),
                predicted_high=round(slowest.high, 3),
                way=slowest.way,
                against="sooner" if slowest.seconds < slowest.low - EXACT else against,
            )
        figures.append(figure)
    return figures

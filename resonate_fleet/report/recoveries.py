"""What became of work that was interrupted: when it was taken up again, and when it should be."""

import msgspec

from resonate_fleet.contract.run import (
    AT_A_MEMBER,
    AT_THE_SERVER,
    DEADLY,
    DRAINING,
    FREEZING,
    TRAITS,
    Plan,
)
from resonate_fleet.contract.tuning import SERVER_ENV
from resonate_fleet.report.facts import CUT, RENEWED, AttemptFacts, Facts, MemberFacts, StrikeFacts

#: A look at the server and the way of a hint or a search to a free slot, at most, in seconds.
LOOK = 0.5
#: Members look for a server that went away at least this often, in seconds (`member`).
RECONNECT = 1.0
#: The server looks for lapsed leases this often, in seconds.
SCAN = int(SERVER_ENV["RESONATE_TIMEOUTS__POLL_INTERVAL"]) / 1000


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """An interrupted claim and what followed. Times in Unix seconds.

    `cause` is the strike's fault, or `drain`, `crash`, `lapse` where no strike explains it. `way`
    says how the task came free: handed-over (by the steward), released (by the member itself) or
    lapsed. `claimed` None means that nobody claimed it again. `low` and `high` (seconds) bound
    the prediction, `high` with the wait for the first free slot in it.
    """

    cause: str
    strike: int | None
    job: str
    task: str
    number: int
    member: str
    at: float
    way: str
    free: float | None
    claimed: float | None
    by: str
    low: float
    high: float

    @property
    def seconds(self) -> float | None:
        """From the interruption to the next claim."""
        return None if self.claimed is None else max(0.0, self.claimed - self.at)


def recoveries(facts: Facts) -> list[Recovery]:
    """Return what became of each interrupted claim that stands in a journal, in time order."""
    interrupted = [one for one in facts.attempts() if one.interrupted and _to_recover(facts, one)]
    return sorted((_recovery(facts, one) for one in interrupted), key=lambda one: one.at)


def _to_recover(facts: Facts, attempt: AttemptFacts) -> bool:
    """Say whether the job still wanted somebody: not if it was settled at this very claim."""
    record = facts.record_of(attempt.task)
    if record is None or record.promise.state == "pending":
        return True
    return record.task is not None and record.task.version > attempt.number


def _recovery(facts: Facts, attempt: AttemptFacts) -> Recovery:
    strike = strike_behind(facts, attempt)
    follower = facts.next_claim(attempt.task, attempt.number)
    way, free = _came_free(facts, attempt)
    at = _interrupted_at(attempt, strike, way)
    low, high = _expected(facts, way, at, free)
    causes = {"released": "drain", CUT: "crash"}
    return Recovery(
        cause=strike.fault if strike else causes.get(attempt.outcome, "lapse"),
        strike=strike.number if strike else None,
        job=attempt.job,
        task=attempt.task,
        number=attempt.number,
        member=attempt.member,
        at=at,
        way=way,
        free=free,
        claimed=follower.began if follower else None,
        by=follower.member if follower else "",
        low=low,
        high=high,
    )


def _came_free(facts: Facts, attempt: AttemptFacts) -> tuple[str, float | None]:
    """Return the way in which a task came free, and when; None for a lease that lapsed."""
    if handed := facts.handed_over.get((attempt.task, attempt.number)):
        return "handed-over", handed.line.at
    if attempt.outcome in ("released", "unknown-function"):
        return "released", attempt.until
    return "lapsed", None


def _interrupted_at(attempt: AttemptFacts, strike: StrikeFacts | None, way: str) -> float:
    """Return the strike's time where the member outlived it for a while; else the attempt's end."""
    if strike and strike.fault in (*FREEZING, *DRAINING) and way != "released":
        return strike.at
    return attempt.until


def _expected(facts: Facts, way: str, at: float, free: float | None) -> tuple[float, float]:
    """Return what is predicted, with the wait for a slot and for a server that was away."""
    low, high = predicted(facts.evidence.plan, way)
    high += _slot_wait(facts, at + low if free is None else free)
    return low, max(high, _server_back(facts, at, at + high) - at)


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
    if strike.target != attempt.member and strike.fault in AT_A_MEMBER:
        return False
    over = strike.healed or (attempt.until if strike.fault in DEADLY else strike.at + 60)
    return strike.asked <= attempt.until + slack and over >= attempt.began - slack


def predicted(plan: Plan | None, way: str) -> tuple[float, float]:
    """Return the least and the most seconds from an interruption to the next claim by a free slot.

    The steward waits its grace and looks once. A lease has at most all of itself left, and at
    least what a member that renews in time leaves; the server's scan comes on top.
    """
    if plan is None:
        return 0.0, 0.0
    if way == "handed-over":
        return plan.grace, plan.grace + LOOK + TRAITS[plan.place].notice
    if way == "released":
        return 0.0, LOOK
    return plan.lease * (1 - RENEWED), plan.lease + SCAN + LOOK


def _server_back(facts: Facts, begin: float, end: float) -> float:
    """Return when the work of `begin` to `end` could go on, if the server was away in between."""
    backs = [
        one.healed
        for one in facts.strikes
        if one.fault in AT_THE_SERVER and one.healed and one.at <= end and one.healed >= begin
    ]
    return max(backs) + RECONNECT + LOOK if backs else begin


def _slot_wait(facts: Facts, at: float) -> float:
    """Return the seconds from `at` until a living member had a free slot."""
    members = facts.members.values()
    ready = [one.ready for one in members if one.ready is not None]
    ends = [one.until for one in facts.attempts()]
    later = sorted(moment for moment in [*ready, *ends] if moment > at)
    for moment in (at, *later):
        if any(_free(member, moment) for member in members):
            return moment - at
    return 0.0


def _free(member: MemberFacts, at: float) -> bool:
    alive = member.ready is not None and member.ready <= at < member.until
    if not alive or any(begin <= at < end for begin, end in member.frozen):
        return False
    return sum(one.began <= at < one.until for one in member.attempts) < member.slots

"""The figures of a run, computed from facts. Pure. Seconds and counts."""

import math
from collections.abc import Iterable

import msgspec

from resonate_fleet.report.bound import bound, idle
from resonate_fleet.report.counts import doubled, late, lost, parked, redone_steps
from resonate_fleet.report.facts import Facts, JobFacts, MemberFacts
from resonate_fleet.report.recoveries import Recovery, recoveries
from resonate_fleet.report.strikes import StrikeFigure, strike_figures


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles (nearest rank) of `count` values, in seconds; None where there are none."""

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one member did. `busy_seconds` sums its attempts; `share` is its part of all results."""

    member: str
    slots: int
    alive_seconds: float
    busy_seconds: float
    attempts: int
    results: int
    share: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All figures. None stands for a figure that this run does not give."""

    jobs_planned: int
    jobs_confirmed: int
    jobs_done: int
    lost: int
    late: int
    doubled: int
    parked: int
    rejected: int
    claims: int
    redone_jobs: int
    redone_attempts: int
    redone_steps: int
    redone_seconds: float
    strikes: int
    hand_overs: int
    lapses: int
    hand_over: Spread
    recovery: Spread
    strike_figures: list[StrikeFigure]
    makespan: float
    bound: float | None
    makespan_over_bound: float | None
    idle_seconds: float
    queue_wait: Spread
    job_seconds: Spread
    shares: list[Share]
    member_seconds: float
    worker_seconds_per_thousand_jobs: float | None
    wasted_share: float | None


def spread(found: Iterable[float | None]) -> Spread:
    """Return quantiles by nearest rank of the values that are known."""
    values = sorted(value for value in found if value is not None)
    if not values:
        return Spread(count=0)

    def rank(part: float) -> float:
        return round(values[max(0, math.ceil(part * len(values)) - 1)], 4)

    return Spread(count=len(values), p50=rank(0.5), p95=rank(0.95), p99=rank(0.99), max=rank(1.0))


def figures_of(facts: Facts) -> Figures:
    found = recoveries(facts)
    redone = [one for one in found if one.claimed is not None and one.task == one.job]
    jobs = facts.jobs.values()
    makespan, greedy = facts.ended - facts.began, bound(facts)
    shares = _shares(facts)
    member_seconds = sum(share.alive_seconds for share in shares)
    slot_seconds = sum(share.alive_seconds * share.slots for share in shares)
    done = sum(job.state == "resolved" for job in jobs)
    wasted, idled = _redone_seconds(facts, redone), idle(facts)
    took = [job.settled - job.created for job in jobs if job.settled and job.created]
    return Figures(
        jobs_planned=sum(job.planned is not None for job in jobs),
        jobs_confirmed=sum(bool(job.confirmed) for job in jobs),
        jobs_done=done,
        lost=len(lost(facts)),
        late=len(late(facts)),
        doubled=len(doubled(facts)),
        parked=len(parked(facts)),
        rejected=sum(job.state == "rejected" for job in jobs),
        claims=sum(job.record.task.version for job in jobs if job.record and job.record.task),
        redone_jobs=len({one.job for one in redone}),
        redone_attempts=len(redone),
        redone_steps=redone_steps(facts),
        redone_seconds=round(wasted, 3),
        strikes=len(facts.strikes),
        hand_overs=len(facts.handed_over),
        lapses=sum(one.way == "lapsed" for one in found),
        hand_over=spread(one.line.seconds for one in facts.handed_over.values()),
        recovery=spread(one.seconds for one in found),
        strike_figures=strike_figures(facts, found),
        makespan=round(makespan, 3),
        bound=None if greedy is None else round(greedy, 3),
        makespan_over_bound=round(makespan / greedy, 3) if greedy else None,
        idle_seconds=round(idled, 3),
        queue_wait=spread(job.waited for job in jobs if _first_claim_is_known(job)),
        job_seconds=spread(took),
        shares=shares,
        member_seconds=round(member_seconds, 3),
        worker_seconds_per_thousand_jobs=round(member_seconds / done * 1000, 1) if done else None,
        wasted_share=round(min(1.0, (wasted + idled) / slot_seconds), 4) if slot_seconds else None,
    )


def _first_claim_is_known(job: JobFacts) -> bool:
    return bool(job.attempts) and job.attempts[0].number == 1


def _redone_seconds(facts: Facts, redone: list[Recovery]) -> float:
    """Return the seconds of interrupted attempts that no stored step saved."""
    cut = {(one.task, one.number) for one in redone}
    total = 0.0
    for one in facts.attempts():
        if (one.task, one.number) in cut:
            saved = sum(step.ended - step.began for step in one.steps if step.ended is not None)
            total += max(0.0, one.until - one.began - saved)
    return total


def _shares(facts: Facts) -> list[Share]:
    results = {
        name: sum(one.result for one in member.attempts) for name, member in facts.members.items()
    }
    total = sum(results.values()) or 1
    return [
        Share(
            member=name,
            slots=member.slots,
            alive_seconds=round(_alive(member, facts), 3),
            busy_seconds=round(sum(one.until - one.began for one in member.attempts), 3),
            attempts=len(member.attempts),
            results=results[name],
            share=round(results[name] / total, 4),
        )
        for name, member in facts.members.items()
    ]


def _alive(member: MemberFacts, facts: Facts) -> float:
    """Return the seconds of the run in which the member was there to be paid for."""
    return max(0.0, min(member.until, facts.ended) - max(member.started, facts.began))

"""The figures of a run, computed from facts. Pure. Seconds and counts."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from resonate_fleet.contract.journal import Ended, RunEnded
from resonate_fleet.report.bound import bound, idle
from resonate_fleet.report.evidence import JournalEntry
from resonate_fleet.report.facts import FINAL, AttemptFacts, Facts, JobFacts
from resonate_fleet.report.recoveries import StrikeFigure, strike_figures

NO_KEY: Final = "(none)"


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


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that `share` of the values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def spread(found: Iterable[float | None]) -> Spread:
    """Return quantiles by nearest rank of the values that are known."""
    values = [value for value in found if value is not None]
    if not values:
        return Spread(count=0)

    def rank(part: float) -> float:
        return round(percentile(values, part), 4)

    return Spread(count=len(values), p50=rank(0.5), p95=rank(0.95), p99=rank(0.99), max=rank(1.0))


def figures_of(facts: Facts) -> Figures:
    found = facts.recoveries
    redone = [one.attempt for one in found if one.follower and one.attempt.task == one.attempt.job]
    steps = [step.promise for one in facts.attempts() for step in one.steps]
    jobs = facts.jobs.values()
    makespan, greedy = facts.ended - facts.began, bound(facts)
    shares = _shares(facts)
    member_seconds = sum(share.alive_seconds for share in shares)
    slot_seconds = sum(share.alive_seconds * share.slots for share in shares)
    done = sum(job.state == "resolved" for job in jobs)
    wasted, idled = sum(map(_unsaved, redone), 0.0), idle(facts)
    first_claims = [job for job in jobs if job.attempts and job.attempts[0].number == 1]
    return Figures(
        jobs_planned=sum(job.planned is not None for job in jobs),
        jobs_confirmed=sum(bool(job.confirmed) for job in jobs),
        jobs_done=done,
        lost=len(lost(facts)),
        late=len(late(facts)),
        doubled=len(doubled(facts)),
        parked=sum(job.parked for job in jobs),
        rejected=sum(job.state == "rejected" for job in jobs),
        claims=sum(job.task.version for job in jobs if job.task),
        redone_jobs=len({one.job for one in redone}),
        redone_attempts=len(redone),
        redone_steps=len(steps) - len(set(steps)),
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
        queue_wait=spread(job.waited for job in first_claims),
        job_seconds=spread(x.settled - x.created for x in jobs if x.settled and x.created),
        shares=shares,
        member_seconds=round(member_seconds, 3),
        worker_seconds_per_thousand_jobs=round(member_seconds / done * 1000, 1) if done else None,
        wasted_share=round(min(1.0, (wasted + idled) / slot_seconds), 4) if slot_seconds else None,
    )


def lost(facts: Facts) -> list[JobFacts]:
    """Return confirmed jobs without an end: unknown to the server, or pending for good.

    One that is neither planned nor known to the server may be of another run.
    """
    if facts.evidence.records is None:
        return []
    ended = ("unknown",) if _gave_up(facts) else ("unknown", "pending")
    jobs = [job for job in facts.jobs.values() if job.confirmed and not job.parked]
    mine = [job for job in jobs if job.planned or job.record or facts.evidence.plan is None]
    return [job for job in mine if job.state in ended]


def late(facts: Facts) -> list[JobFacts]:
    """Return jobs that were still going on when the run was given up, or ended after that."""
    plan, gave_up = facts.evidence.plan, _gave_up(facts)
    end = facts.began + plan.deadline + 1 if plan else math.inf
    jobs = [job for job in facts.jobs.values() if not job.parked]
    return [
        job
        for job in jobs
        if (job.settled or 0) > end or (gave_up and job.confirmed and job.state == "pending")
    ]


def _gave_up(facts: Facts) -> bool:
    """Say whether chaos ended the run at its deadline with jobs unfinished."""
    return any(not entry.line.finished for entry in facts.evidence.of(RunEnded))


def doubled(facts: Facts) -> dict[str, list[JournalEntry[Ended]]]:
    """Return the tasks that were brought to an end more than once, with the lines that say so."""
    ends: defaultdict[str, list[JournalEntry[Ended]]] = defaultdict(list)
    for entry in facts.evidence.of(Ended):
        if entry.line.outcome in FINAL:
            ends[entry.line.task].append(entry)
    return {task: final for task, final in ends.items() if len(final) > 1}


def _unsaved(attempt: AttemptFacts) -> float:
    """Return the seconds of an interrupted attempt that no stored step saved."""
    saved = sum(step.ended - step.began for step in attempt.steps if step.ended is not None)
    return max(0.0, attempt.until - attempt.began - saved)


def _shares(facts: Facts) -> list[Share]:
    members = facts.members.values()
    total = sum(one.result for member in members for one in member.attempts) or 1
    shares: list[Share] = []
    for member in members:
        results = sum(one.result for one in member.attempts)
        # The seconds of the run in which the member was there to be paid for.
        alive = min(member.until, facts.ended) - max(member.started, facts.began)
        share = Share(
            member=member.name,
            slots=member.slots,
            alive_seconds=round(max(0.0, alive), 3),
            busy_seconds=round(sum(one.until - one.began for one in member.attempts), 3),
            attempts=len(member.attempts),
            results=results,
            share=round(results / total, 4),
        )
        shares.append(share)
    return shares


class KeyShare(msgspec.Struct, frozen=True, kw_only=True):
    """`starts` and `share` count while jobs of all keys waited; `median` wait in seconds."""

    key: str
    jobs: int
    starts: int
    share: float
    median: float
    longest: float


def _starts(by_key: Mapping[str, list[JobFacts]]) -> dict[str, int]:
    """Return how many jobs of each key began while jobs of all keys waited."""
    begin = max(min(job.created or 0.0 for job in jobs) for jobs in by_key.values())
    end = min(max(job.attempts[0].began for job in jobs) for jobs in by_key.values())
    return {
        key: sum(begin <= job.attempts[0].began <= end for job in jobs)
        for key, jobs in by_key.items()
    }


def key_shares(facts: Facts) -> list[KeyShare]:
    """Return who got which share of the starts, by key of the plan; nothing without keys."""
    by_key: defaultdict[str, list[JobFacts]] = defaultdict(list)
    for job in facts.jobs.values():
        if job.planned is not None and job.waited is not None:
            by_key[job.planned.key].append(job)
    if not any(by_key):
        return []
    starts = _starts(by_key)
    total = max(1, sum(starts.values()))
    shares: list[KeyShare] = []
    for key, jobs in by_key.items():
        waits = sorted(job.waited or 0.0 for job in jobs)
        share = KeyShare(
            key=key or NO_KEY,
            jobs=len(jobs),
            starts=starts[key],
            share=starts[key] / total,
            median=waits[len(waits) // 2],
            longest=waits[-1],
        )
        shares.append(share)
    return shares

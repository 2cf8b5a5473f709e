"""Who got which share of the starts, by key. Pure."""

from typing import Final

import msgspec

from resonate_fleet.report.facts import Facts, JobFacts

NO_KEY: Final = "(none)"


class KeyShare(msgspec.Struct, frozen=True, kw_only=True):
    """`starts` and `share` count while jobs of all keys waited; `median` wait in seconds."""

    key: str
    jobs: int
    starts: int
    share: float
    median: float
    longest: float


def key_shares(facts: Facts) -> list[KeyShare]:
    """Return a share for each key of the plan; none where jobs have no keys."""
    by_key: dict[str, list[JobFacts]] = {}
    for job in facts.jobs.values():
        if job.planned is not None and job.attempts and job.created is not None:
            by_key.setdefault(job.planned.key, []).append(job)
    if not any(by_key):
        return []
    from_ = max(min(job.created or 0.0 for job in jobs) for jobs in by_key.values())
    until = min(max(job.attempts[0].began for job in jobs) for jobs in by_key.values())
    starts = {
        key: sum(from_ <= job.attempts[0].began <= until for job in jobs)
        for key, jobs in by_key.items()
    }
    return [_share(key, jobs, starts[key], sum(starts.values())) for key, jobs in by_key.items()]


def _share(key: str, jobs: list[JobFacts], starts: int, of: int) -> KeyShare:
    waits = sorted(job.waited or 0.0 for job in jobs)
    return KeyShare(
        key=key or NO_KEY,
        jobs=len(jobs),
        starts=starts,
        share=starts / max(1, of),
        median=waits[len(waits) // 2],
        longest=waits[-1],
    )

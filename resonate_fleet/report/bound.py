"""How fast it could have gone: list scheduling on the slots that lived, and slots left idle."""

import heapq
import math
from collections.abc import Iterable, Iterator

from resonate_fleet.report.facts import Facts, JobFacts, MemberFacts

#: From and to (Unix seconds) in which one slot could work.
Window = tuple[float, float]


def windows(members: Iterable[MemberFacts], end: float = math.inf) -> list[Window]:
    """Return the times in which each slot could work: alive, ready and not frozen.

    Members that lived at `end` are taken to live on.
    """
    found: list[Window] = []
    for member in members:
        if member.ready is None:
            continue
        start = member.ready
        until = member.until if member.until < end else math.inf
        for freeze, thaw in sorted(member.frozen):
            if freeze > start:
                found += [(start, min(freeze, until))] * member.slots
            start = max(start, thaw)
        if start < until:
            found += [(start, until)] * member.slots
    return found


def greedy(jobs: list[tuple[float, float]], slots: list[Window]) -> float | None:
    """Return when greedy list scheduling would have ended, or None where the slots do not do.

    `jobs` are (arrival, cost). Jobs are taken in the order given; nothing is lost on the way
    between them. A job that its slot's end cuts off starts anew elsewhere, at once.
    """
    future = [(arrival, index, cost) for index, (arrival, cost) in enumerate(jobs)]
    heapq.heapify(future)
    ready: list[tuple[int, float]] = []
    free = list(slots)
    heapq.heapify(free)
    ended = clock = 0.0
    while (ready or future) and free:
        now, until = heapq.heappop(free)
        now = max(now, clock if ready else future[0][0])
        if now >= until:
            continue
        clock = now
        while future and future[0][0] <= now:
            _, index, cost = heapq.heappop(future)
            heapq.heappush(ready, (index, cost))
        index, cost = heapq.heappop(ready)
        if now + cost > until:
            heapq.heappush(future, (until, index, cost))
        else:
            ended = max(ended, now + cost)
            heapq.heappush(free, (now + cost, until))
    return None if ready or future else ended


def bound(facts: Facts) -> float | None:
    """Return the seconds that greedy scheduling needs for this load on these members."""
    load: list[tuple[float, float]] = []
    slept: list[float] = []
    for job in facts.jobs.values():
        if job.created is None:
            continue
        if job.settled is not None:
            load.append((job.created, _cost(job)))
        if job.planned is not None and _slept(job):
            slept.append(job.created + job.planned.cost)
    end = greedy(sorted(load), windows(facts.members.values(), facts.ended))
    return max([end, *slept]) - facts.began if load and end is not None else None


def _slept(job: JobFacts) -> bool:
    """Say whether the job spent its time in durable sleeps, which fill no slot."""
    return any(one.outcome == "suspended" for one in job.attempts)


def _cost(job: JobFacts) -> float:
    """Return the seconds that a job fills a slot: its nominal cost where it has one."""
    if _slept(job):
        return sum(one.seconds for one in job.attempts if not one.interrupted)
    if job.planned is not None:
        return job.planned.cost
    if job.confirmed and job.confirmed[0].line.cost is not None:
        return job.confirmed[0].line.cost
    return job.attempts[-1].seconds if job.attempts else 0.0


def waiting(facts: Facts) -> list[Window]:
    """Return the times in which jobs were free to be claimed, one window a claim.

    When a lease lapsed on the server is not known to anybody else; such waits are left out.
    """
    found: list[Window] = []
    for job in facts.jobs.values():
        since = job.created
        for attempt in job.attempts:
            if since is not None and attempt.began > since:
                found.append((since, attempt.began))
            handed = facts.handed_over.get(attempt.claim)
            since = handed.line.at if handed else None
            if attempt.outcome == "released":
                since = attempt.until
    return found


def free_slots(members: Iterable[MemberFacts]) -> Iterator[tuple[float, float, int]]:
    """Return from when to when a member had how many slots free, members one after the other."""
    for member in members:
        changes: list[tuple[float, int]] = []
        for begin, end in windows([member]):
            changes += [(begin, 1), (end, -1)]
        for attempt in member.attempts:
            changes += [(attempt.began, -1), (attempt.until, 1)]
        since, free = 0.0, 0
        for at, by in sorted(changes):
            if free > 0 and at > since:
                yield since, at, free
            since, free = at, free + by


def idle(facts: Facts) -> float:
    """Return the slot-seconds in which a slot was free while a job waited for one."""
    # Time, change of free slots, change of waiting jobs.
    events: list[tuple[float, int, int]] = []
    for begin, end in waiting(facts):
        events += [(begin, 0, 1), (end, 0, -1)]
    for begin, end, slots in free_slots(facts.members.values()):
        events += [(begin, slots, 0), (end, -slots, 0)]
    total, free, waits, last = 0.0, 0, 0, 0.0
    for at, slots_by, jobs_by in sorted(events):
        total += (at - last) * max(0, min(free, waits))
        free, waits, last = free + slots_by, waits + jobs_by, at
    return total

"""What the page draws, as compact plain values. Times in milliseconds from the start of the run."""

import math
from itertools import pairwise
from typing import Any

from resonate_fleet.contract.faults import AT_A_MEMBER
from resonate_fleet.contract.journal import Parked
from resonate_fleet.contract.shown import natural
from resonate_fleet.report.bound import Window, waiting, windows
from resonate_fleet.report.facts import AttemptFacts, Facts, JobFacts, MemberFacts

#: Steps of the curves below the lanes; more than a screen has pixels.
POINTS = 2000
#: Edges of the bins of the wait's distribution, in seconds.
EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
#: A slot's next claim is under way while the last outcome is being written: for so many seconds
#: two attempts may stand in one row.
BESIDE = 0.1


def timeline(facts: Facts) -> dict[str, Any]:
    """Return lanes, bars, strikes, recoveries and curves of a run."""
    members = sorted(facts.members.values(), key=_place)
    rows = [_rows(member) for member in members]
    bars = [(lane, row, one) for lane, placed in enumerate(rows) for one, row in placed]
    index_of = {one.claim: index for index, (_, _, one) in enumerate(bars)}
    numbers = {job: index for index, job in enumerate(facts.jobs)}
    last = max([facts.ended, *(one.healed or one.at for one in facts.strikes)])
    alive = [one for one in windows(members) if one[0] < last]
    return {
        "end": _ms(facts, last),
        "lanes": [_lane(facts, *one) for one in zip(members, rows, strict=True)],
        "bars": [[lane, row, *_bar(facts, one, numbers)] for lane, row, one in bars],
        "steps": [
            [index_of[one.claim], _ms(facts, step.ended)]
            for _, _, one in bars
            for step in one.steps
            if step.ended is not None
        ],
        "jobs": [_job(facts, job) for job in facts.jobs.values()],
        "strikes": _strikes(facts, {one.name: lane for lane, one in enumerate(members)}),
        "parked": _parked(facts, numbers, index_of),
        "recoveries": _recoveries(facts, index_of),
        "waiting": _curve(facts, waiting(facts)),
        "busy": _curve(facts, [(one.began, one.until) for _, _, one in bars]),
        "alive": _curve(facts, [(begin, min(end, last)) for begin, end in alive]),
        "waits": _histogram(facts),
    }


def _place(member: MemberFacts) -> Any:
    """Return what lanes are sorted by.

    Members whose names differ in the last part alone, a few digits of one start, stand together.
    """
    return natural(member.name.rpartition("-")[0] or member.name), member.started


def _strikes(facts: Facts, lanes: dict[str, int]) -> list[dict[str, Any]]:
    """Return the strikes; lane -1 for those of the whole fleet."""
    return [
        {
            "fault": one.fault,
            "lane": lanes.get(one.target, -1) if one.fault in AT_A_MEMBER else -1,
            "at": _ms(facts, one.at),
            "healed": _ms(facts, one.healed) if one.healed else None,
        }
        for one in facts.strikes
    ]


def _ms(facts: Facts, at: float) -> int:
    return round((at - facts.began) * 1000)


def _rows(member: MemberFacts) -> list[tuple[AttemptFacts, int]]:
    """Put each attempt into the first row of its lane that is free when it begins, from 0.

    Where no row is free, it is that of an attempt that is about to end, or else a new row.
    """
    busy_until: list[float] = []
    rows: list[tuple[AttemptFacts, int]] = []
    for attempt in sorted(member.attempts, key=lambda one: one.began):
        free = [row for row, until in enumerate(busy_until) if until <= attempt.began]
        row, first = free[0] if free else len(busy_until), min(busy_until, default=math.inf)
        if len(busy_until) >= member.slots and attempt.began < first <= attempt.began + BESIDE:
            row = busy_until.index(first)
        busy_until[row : row + 1] = [attempt.until]
        rows.append((attempt, row))
    return rows


def _lane(facts: Facts, member: MemberFacts, rows: list[tuple[AttemptFacts, int]]) -> Any:
    return {
        "name": member.name,
        "height": max([member.slots, *(row + 1 for _, row in rows)]),
        "ready": _ms(facts, member.ready if member.ready is not None else member.started),
        "until": _ms(facts, member.until),
        "died": member.died is not None,
        "frozen": [[_ms(facts, a), _ms(facts, b)] for a, b in member.frozen],
        "results": sum(one.result for one in member.attempts),
    }


def _bar(facts: Facts, one: AttemptFacts, numbers: dict[str, int]) -> list[Any]:
    """Return begin, end, kind, job, claim and task.

    The kind is the outcome, but for results of work that was taken up again. Claims that began
    nothing are not counted.
    """
    kind = {"refused": "lost", "unknown-function": "released"}.get(one.outcome, one.outcome)
    earlier = [before for before in facts.tasks.get(one.task, []) if before.number < one.number]
    if one.outcome == "resolved" and any(before.interrupted for before in earlier):
        kind = "again"
    vain = sum(before.outcome == "unknown-function" for before in earlier)
    times = _ms(facts, one.began), _ms(facts, one.until)
    return [*times, kind, numbers[one.job], one.number - vain, one.task.removeprefix(one.job)]


def _job(facts: Facts, job: JobFacts) -> list[Any]:
    function = job.attempts[0].function if job.attempts else ""
    return [
        job.id,
        job.planned.function if job.planned else function,
        job.planned.cost if job.planned else None,
        _ms(facts, job.created) if job.created is not None else None,
        _ms(facts, job.settled) if job.settled is not None else None,
        job.state,
    ]


def _parked(
    facts: Facts, numbers: dict[str, int], index_of: dict[tuple[str, int], int]
) -> list[dict[str, Any]]:
    """Return where each parking is drawn: at the end of the job's last attempt."""
    found: list[dict[str, Any]] = []
    for line in (entry.line for entry in facts.evidence.of(Parked)):
        attempts = facts.tasks.get(line.job, [])
        bars = [index_of[one.claim] for one in attempts if one.began <= line.at]
        if bars:
            point = {"job": numbers[line.job], "bar": bars[-1], "at": _ms(facts, line.at)}
            found.append({**point, "crashes": line.crashes})
    return found


def _recoveries(facts: Facts, index_of: dict[tuple[str, int], int]) -> list[dict[str, Any]]:
    return [
        {
            "bar": index_of[one.attempt.claim],
            "to": index_of[one.follower.claim] if one.follower else None,
            "way": one.way,
            "cause": one.cause,
            "at": _ms(facts, one.at),
            "seconds": one.seconds,
            "low": one.low,
            "high": one.high,
        }
        for one in facts.recoveries
    ]


def _curve(facts: Facts, spans: list[Window]) -> list[list[int]]:
    """Return [time, level] where the number of open spans changes; peaks are kept."""
    changes = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    points: list[list[int]] = [[0, 0]]
    level = 0
    for at, by in changes:
        level += by
        moment = max(0, _ms(facts, at))
        if points[-1][0] == moment:
            points[-1][1] = level
        else:
            points.append([moment, level])
    every = -(-len(points) // POINTS)
    groups = [points[start : start + every] for start in range(0, len(points), every)]
    return [[group[0][0], max(level for _, level in group)] for group in groups]


def _histogram(facts: Facts) -> list[list[float]]:
    """Return [from, to, jobs] a bin of the wait from creation to first claim, in seconds."""
    waits = [job.waited for job in facts.jobs.values() if job.waited is not None]
    edges = pairwise([*EDGES, math.inf])
    bins = [[low, high, sum(low <= one < high for one in waits)] for low, high in edges]
    filled = [index for index, one in enumerate(bins) if one[2]]
    return bins[filled[0] : filled[-1] + 1] if filled else []

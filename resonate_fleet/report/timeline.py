"""What the page draws, as compact plain values. Times in milliseconds from the start of the run."""

from itertools import pairwise
from typing import Any

from resonate_fleet.contract.run import AT_A_MEMBER
from resonate_fleet.report.bound import waiting, windows
from resonate_fleet.report.facts import FINAL, AttemptFacts, Facts
from resonate_fleet.report.lanes import Lane, lanes
from resonate_fleet.report.recoveries import Recovery, recoveries

#: Steps of the curves below the lanes; more than a screen has pixels.
POINTS = 2000
#: Edges of the bins of the wait's distribution, in seconds.
EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


def timeline(facts: Facts) -> dict[str, Any]:
    """Return lanes, bars, strikes, recoveries and curves of a run."""
    drawn = lanes(facts)
    numbers = {job: index for index, job in enumerate(facts.jobs)}
    bars, index_of = _bars(facts, drawn, numbers)
    found = [one for one in recoveries(facts) if (one.task, one.number) in index_of]
    return {
        "end": _ms(facts, _last(facts)),
        "lanes": [_lane(facts, lane) for lane in drawn],
        "bars": bars,
        "steps": _steps(facts, drawn, index_of),
        "jobs": [_job(facts, job) for job in facts.jobs],
        "strikes": _strikes(facts, drawn),
        "parked": _parked(facts, numbers, index_of),
        "recoveries": [_recovery(facts, one, index_of) for one in found],
        "waiting": _curve(facts, [(begin, end, 1) for begin, end in waiting(facts)]),
        "busy": _curve(facts, _busy(facts)),
        "alive": _curve(facts, _alive(facts)),
        "waits": _histogram(facts),
    }


def _ms(facts: Facts, at: float) -> int:
    return round((at - facts.began) * 1000)


def _last(facts: Facts) -> float:
    return max([facts.ended, *[one.healed or one.at for one in facts.strikes]])


def _lane(facts: Facts, lane: Lane) -> dict[str, Any]:
    member = lane.member
    return {
        "name": member.name,
        "height": lane.height,
        "ready": _ms(facts, member.ready if member.ready is not None else member.started),
        "until": _ms(facts, member.until),
        "died": member.died is not None,
        "frozen": [[_ms(facts, a), _ms(facts, b)] for a, b in member.frozen],
        "results": sum(one.result for one in member.attempts),
    }


def _bars(
    facts: Facts, drawn: list[Lane], numbers: dict[str, int]
) -> tuple[list[list[Any]], dict[tuple[str, int], int]]:
    """Return [lane, row, begin, end, look, job, claim, task] a bar, and where each claim stands."""
    bars: list[list[Any]] = []
    index_of: dict[tuple[str, int], int] = {}
    for number, lane in enumerate(drawn):
        for one, row in lane.rows:
            index_of[one.task, one.number] = len(bars)
            begin, end = _ms(facts, one.began), _ms(facts, one.until)
            child = "" if one.task == one.job else one.task.removeprefix(one.job)
            shown = one.number - _vain(facts, one)
            bars.append(
                [number, row, begin, end, _look(facts, one), numbers[one.job], shown, child]
            )
    return bars, index_of


def _vain(facts: Facts, one: AttemptFacts) -> int:
    """Return how many claims before this one began nothing."""
    earlier = (before for before in facts.tasks.get(one.task, []) if before.number < one.number)
    return sum(before.outcome == "unknown-function" for before in earlier)


def _look(facts: Facts, one: AttemptFacts) -> str:
    """Return the kind of bar: the outcome, results of work taken up again apart."""
    if one.outcome in FINAL and any(
        before.interrupted for before in facts.tasks.get(one.task, []) if before.number < one.number
    ):
        return "again" if one.outcome == "resolved" else one.outcome
    same = {"refused": "lost", "unknown-function": "released"}
    return same.get(one.outcome, one.outcome)


def _steps(
    facts: Facts, drawn: list[Lane], index_of: dict[tuple[str, int], int]
) -> list[list[int]]:
    """Return [bar, time] for each step that was stored."""
    return [
        [index_of[one.task, one.number], _ms(facts, step.ended)]
        for lane in drawn
        for one, _ in lane.rows
        for step in one.steps
        if step.ended is not None
    ]


def _job(facts: Facts, id: str) -> list[Any]:
    job = facts.jobs[id]
    function = job.attempts[0].function if job.attempts else ""
    return [
        id,
        job.planned.function if job.planned else function,
        job.planned.cost if job.planned else None,
        _ms(facts, job.created) if job.created is not None else None,
        _ms(facts, job.settled) if job.settled is not None else None,
        job.state,
    ]


def _strikes(facts: Facts, drawn: list[Lane]) -> list[dict[str, Any]]:
    lane_of = {lane.member.name: number for number, lane in enumerate(drawn)}
    return [
        {
            "fault": one.fault,
            "lane": lane_of.get(one.target, -1) if one.fault in AT_A_MEMBER else -1,
            "at": _ms(facts, one.at),
            "healed": _ms(facts, one.healed) if one.healed else None,
        }
        for one in facts.strikes
    ]


def _parked(
    facts: Facts, numbers: dict[str, int], index_of: dict[tuple[str, int], int]
) -> list[dict[str, Any]]:
    """Return where each parking is drawn: at the end of the job's last attempt."""
    found: list[dict[str, Any]] = []
    for line in (entry.line for entry in facts.parkings):
        attempts = facts.tasks.get(line.job, [])
        bars = [index_of[one.task, one.number] for one in attempts if one.began <= line.at]
        if bars:
            point = {"job": numbers[line.job], "bar": bars[-1], "at": _ms(facts, line.at)}
            found.append({**point, "crashes": line.crashes})
    return found


def _recovery(facts: Facts, one: Recovery, index_of: dict[tuple[str, int], int]) -> dict[str, Any]:
    follower = facts.next_claim(one.task, one.number)
    return {
        "bar": index_of[one.task, one.number],
        "to": index_of[follower.task, follower.number] if follower else None,
        "way": one.way,
        "cause": one.cause,
        "at": _ms(facts, one.at),
        "seconds": one.seconds,
        "low": one.low,
        "high": one.high,
    }


def _busy(facts: Facts) -> list[tuple[float, float, int]]:
    return [
        (one.began, one.until, 1) for member in facts.members.values() for one in member.attempts
    ]


def _alive(facts: Facts) -> list[tuple[float, float, int]]:
    until = _last(facts)
    return [
        (begin, min(end, until), 1)
        for begin, end in windows(facts.members.values())
        if begin < until
    ]


def _curve(facts: Facts, spans: list[tuple[float, float, int]]) -> list[list[int]]:
    """Return [time, level] where the number of open spans changes; peaks are kept."""
    changes = sorted([(begin, by) for begin, _, by in spans] + [(end, -by) for _, end, by in spans])
    points: list[list[int]] = [[0, 0]]
    level = 0
    for at, by in changes:
        level += by
        moment = max(0, _ms(facts, at))
        if points[-1][0] == moment:
            points[-1][1] = level
        else:
            points.append([moment, level])
    return _thinned(points)


def _thinned(points: list[list[int]]) -> list[list[int]]:
    every = -(-len(points) // POINTS)
    groups = [points[start : start + every] for start in range(0, len(points), every)]
    return [[group[0][0], max(level for _, level in group)] for group in groups]


def _histogram(facts: Facts) -> list[list[float]]:
    """Return [from, to, jobs] a bin of the wait from creation to first claim, in seconds."""
    waits = [job.waited for job in facts.jobs.values() if job.waited is not None]
    bins = [[low, high, sum(low <= one < high for one in waits)] for low, high in pairwise(EDGES)]
    bins.append([EDGES[-1], float("inf"), sum(one >= EDGES[-1] for one in waits)])
    filled = [index for index, one in enumerate(bins) if one[2]]
    return bins[filled[0] : filled[-1] + 1] if filled else []

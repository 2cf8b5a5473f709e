"""The run as a Chrome trace, which ui.perfetto.dev and chrome://tracing open.

Format: "Trace Event Format": complete events (`X`), instants (`i`), flows (`s`, `f`), metadata
(`M`). Times in microseconds from the start of the run. A member is a process, a slot a thread.
"""

from typing import Any

import msgspec

from resonate_fleet.report.facts import AttemptFacts, Facts
from resonate_fleet.report.lanes import Lane, lanes

Event = dict[str, Any]


def trace(facts: Facts) -> bytes:
    """Return the trace as JSON."""
    events: list[Event] = []
    for number, lane in enumerate(lanes(facts), start=1):
        events += _lane(facts, lane, number)
    events += [
        _instant(facts, f"strike {one.number}: {one.fault} {one.target}", one.at, "g")
        for one in facts.strikes
    ]
    return msgspec.json.encode({"traceEvents": events, "displayTimeUnit": "ms"})


def _lane(facts: Facts, lane: Lane, number: int) -> list[Event]:
    name = {"name": lane.member.name}
    events: list[Event] = [
        {"ph": "M", "name": "process_name", "pid": number, "tid": 0, "args": name},
        {"ph": "M", "name": "process_sort_index", "pid": number, "args": {"sort_index": number}},
    ]
    for attempt, row in lane.rows:
        events += _attempt(facts, attempt, number, row + 1)
    return events


def _attempt(facts: Facts, one: AttemptFacts, member: int, slot: int) -> list[Event]:
    place = {"pid": member, "tid": slot}
    about = {"job": one.job, "claim": one.number, "outcome": one.outcome}
    begin, end = _us(facts, one.began), _us(facts, one.until)
    name = f"{one.function} {one.job[-6:]}"
    bar: Event = {"ph": "X", "name": name, "cat": one.outcome, "ts": begin, "dur": end - begin}
    events = [bar | place | {"args": about}]
    events += [
        {"ph": "X", "name": step.promise.rpartition(":")[2], "cat": "step"}
        | {
            "ts": _us(facts, step.began),
            "dur": _us(facts, step.ended or one.until) - _us(facts, step.began),
        }
        | place
        for step in one.steps
    ]
    flow = {"name": "taken up again", "cat": "recovery", "id": f"{one.task}@{one.number}"}
    if one.interrupted and facts.next_claim(one.task, one.number):
        events.append({"ph": "s", "ts": max(begin, end - 1), **flow, **place})
    before = [a for a in facts.tasks.get(one.task, []) if a.number < one.number]
    if before and before[-1].interrupted:
        flow["id"] = f"{one.task}@{before[-1].number}"
        events.append({"ph": "f", "bp": "e", "ts": begin, **flow, **place})
    return events


def _instant(facts: Facts, name: str, at: float, scope: str) -> Event:
    return {
        "ph": "i",
        "name": name,
        "cat": "strike",
        "s": scope,
        "ts": _us(facts, at),
        "pid": 0,
        "tid": 0,
    }


def _us(facts: Facts, at: float) -> int:
    return round((at - facts.began) * 1e6)

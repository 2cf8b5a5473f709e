"""Facts of a run by hand, for checks that look at a few of them. Times are small: seconds."""

from collections.abc import Iterable
from typing import Any

import msgspec

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.calls import Result
from resonate_fleet.contract.run import Plan, PlannedJob, Record, Records
from resonate_fleet.contract.wire import Promise, Task
from resonate_fleet.report.evidence import Evidence, JournalEntry
from resonate_fleet.report.facts import (
    AttemptFacts,
    Coverage,
    Facts,
    JobFacts,
    MemberFacts,
    StrikeFacts,
)
from resonate_fleet.report.findings import Finding
from resonate_fleet.report.recoveries import recoveries

Entry = JournalEntry[Any]


def said(findings: Iterable[Finding]) -> list[str]:
    """Return each finding as one line: level, name, sentence and where it shows."""
    return [f"{one.level} {one.name}: {one.says} ({' '.join(one.evidence)})" for one in findings]


def entry(line: j.Line, number: int = 1) -> Entry:
    """Return a line as it stands in its writer's journal."""
    return JournalEntry(f"{line.who}.jsonl", number, line)


def attempt(task: str = "t", number: int = 1, member: str = "m", **more: Any) -> AttemptFacts:
    """Return a claim of 10 to 20."""
    given: dict[str, Any] = {
        "job": task.partition(":")[0],
        "function": "f",
        "began": 10.0,
        "until": 20.0,
        "outcome": "resolved",
        "seconds": 10.0,
        "where": f"{member}:{task}/{number}",
        "end_where": f"{member}:{task}/{number}-end",
        "error": "",
        "writing": 0.0,
        "steps": [],
    }
    return AttemptFacts(**(given | {"task": task, "number": number, "member": member} | more))


def member(name: str = "m", **more: Any) -> MemberFacts:
    """Return a member that lives from 0 to 100."""
    given: dict[str, Any] = {
        "slots": 1,
        "started": 0.0,
        "ready": 0.0,
        "stopped": 100.0,
        "died": None,
        "attempts": [],
        "lines": [entry(j.MemberReady(at=0.0, who=name))],
        "frozen": [],
    }
    return MemberFacts(**(given | {"name": name} | more))


def strike(fault: str = "kill", at: float = 10.0, target: str = "m", **more: Any) -> StrikeFacts:
    """Return a strike that took hold the moment it was asked for."""
    given: dict[str, Any] = {
        "strike": 0,
        "asked": at,
        "healing": more.get("healed"),
        "healed": None,
        "where": f"chaos:{fault}",
    }
    return StrikeFacts(**(given | {"fault": fault, "at": at, "target": target} | more))


def record(
    task: str = "t", version: int = 1, state: str = "resolved", *, stands: str = "", **more: Any
) -> Record:
    """Return what the server has: created at 0, settled at 20 if it is. `stands`: of the task."""
    given: dict[str, Any] = {"created_at": 0, "settled_at": None if state == "pending" else 20_000}
    promise = Promise(**(given | {"id": task, "state": state} | more))
    return Record(promise=promise, task=Task(id=task, state=stands or state, version=version))


def planned(id: str = "t", cost: float = 10.0, steps: int = 0) -> PlannedJob:
    return PlannedJob(id=id, at=0.0, function="f", cost=cost, group="g", steps=steps)


def confirmed(id: str = "t", at: float = 0.0, number: int = 1) -> Entry:
    line = j.Confirmed(job=id, group="g", function="f", cost=None, new=True, at=at, who="client")
    return entry(line, number)


def result(id: str = "t", by: str = "m", number: int = 1, **more: Any) -> Result:
    given: dict[str, Any] = {"began": 10.0, "ended": 20.0, "cost": 10.0}
    return Result(**(given | {"id": id, "member": by, "attempt": number} | more))


def job(id: str = "t", **more: Any) -> JobFacts:
    """Return a job of which all sources say the same."""
    given: dict[str, Any] = {
        "planned": planned(id),
        "confirmed": [confirmed(id)],
        "record": record(id),
        "result": None,
        "attempts": [],
    }
    return JobFacts(**(given | {"id": id} | more))


def plan(**more: Any) -> Plan:
    given: dict[str, Any] = {
        "scenario": "by-hand",
        "seed": 1,
        "place": "processes",
        "members": 1,
        "slots": 1,
        "lease": 60.0,
        "steward": True,
        "deadline": 600.0,
        "jobs": [],
        "strikes": [],
    }
    return msgspec.convert(given | more, Plan, from_attributes=True)


def facts(
    *attempts: AttemptFacts,
    members: Iterable[MemberFacts] = (),
    jobs: Iterable[JobFacts] = (),
    strikes: Iterable[StrikeFacts] = (),
    lines: Iterable[Entry] = (),
    children: Iterable[Record] = (),
    plan: Plan | None = None,
    records_at: float | None = None,
    **more: Any,
) -> Facts:
    """Return the facts of a run of 0 to 100 in which that happened."""
    tasks: dict[str, list[AttemptFacts]] = {}
    for one in attempts:
        tasks.setdefault(one.task, []).append(one)
    handed = [one for one in lines if isinstance(one.line, j.HandedOver)]
    records = None if records_at is None else Records(at=records_at, server="", records=[])
    evidence = Evidence(plan=plan, records=records, lines=list(lines), torn=[], unread={})
    given: dict[str, Any] = {
        "evidence": evidence,
        "members": {one.name: one for one in members},
        "strikes": list(strikes),
        "jobs": {one.id: one for one in jobs},
        "children": {one.promise.id: one for one in children},
        "tasks": tasks,
        "handed_over": {(one.line.task, one.line.attempt): one for one in handed},
        "began": 0.0,
        "ended": 100.0,
        "coverage": Coverage(),
        "recoveries": [],
    }
    found = Facts(**(given | more))
    return msgspec.structs.replace(found, recoveries=recoveries(found))


def without_the_journal_of(*names: str, clients: bool = False, stewards: bool = False) -> Coverage:
    return Coverage(members=set(names), clients=clients, stewards=stewards)

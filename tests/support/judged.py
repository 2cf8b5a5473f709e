"""What the report says of a fleet that a test ran: its verdict.json, made from the same files."""

import asyncio
from pathlib import Path

import msgspec

from resonate_fleet.chaos.observer import records
from resonate_fleet.contract.journal import Confirmed
from resonate_fleet.contract.run import Plan, PlannedJob, Records, RunFolder
from resonate_fleet.contract.wire import Wire
from resonate_fleet.contract.words import DEFAULT_GROUP
from resonate_fleet.report.__main__ import main as judge
from resonate_fleet.report.figures import Figures
from resonate_fleet.report.verdict import Verdict
from tests.support.fleet import Fleet


def figures_of(fleet: Fleet, root: Path, members: int) -> Figures:
    """Judge what the journals in `root` and the server say so far; return the figures.

    The verdict's word is not asked for: nobody planned what the test does to its members.
    """
    folder = RunFolder(root)
    assert folder.journal == fleet.journal_folder
    plan = _plan(fleet.journal_of(Confirmed), members)
    folder.plan.write_bytes(msgspec.json.encode(plan))
    found = asyncio.run(_records(fleet.server.url, plan))
    folder.server.write_bytes(msgspec.json.encode(found))
    judge([str(root)])
    return msgspec.json.decode(folder.verdict.read_bytes(), type=Verdict).figures


def _plan(confirmed: list[Confirmed], members: int) -> Plan:
    jobs = [
        PlannedJob(
            id=line.job,
            at=0.0,
            function="compute_something",
            cost=line.cost or 0.0,
            group=DEFAULT_GROUP,
        )
        for line in confirmed
    ]
    return Plan(
        scenario="by-a-test",
        seed=0,
        place="processes",
        members=members,
        slots=1,
        lease=60.0,
        steward=True,
        deadline=120.0,
        jobs=jobs,
        strikes=[],
    )


async def _records(url: str, plan: Plan) -> Records:
    async with Wire(url) as wire:
        return await records(wire, plan, url)

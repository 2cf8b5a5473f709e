"""Parking on a server, and what an operator can do about it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from resonate_fleet.commands.addresses import Addresses
from resonate_fleet.commands.quarantine import parked
from resonate_fleet.contract import jobacts
from resonate_fleet.contract.journal import Parked, Redriven
from resonate_fleet.contract.live import CrashRecord, CrashRecords
from resonate_fleet.contract.presence import Report
from resonate_fleet.contract.wire import Wire
from resonate_fleet.steward.state_file import Memory
from tests.support.fleet import Fleet
from tests.support.members import HandMember, claim, freed, fulfil, submit
from tests.support.processes import Process
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

PROMPT: dict[str, Any] = {"STEWARD_GRACE": "0", "STEWARD_INTERVAL": "0.1"}


@pytest.fixture
async def wire(fleet: Fleet) -> AsyncIterator[Wire]:
    async with Wire(fleet.server.url) as opened:
        yield opened


def started(steward: Process, field: str = "presence_port") -> int:
    return int(steward.line("steward.started")[field])


async def remembered(steward: Process) -> dict[str, CrashRecord]:
    """Return what the steward remembers of crashes, by task."""
    url = f"http://127.0.0.1:{started(steward, 'port')}"
    where = Addresses(server=url, token=None, steward=url)
    answer = await asyncio.to_thread(where.ask_steward, "quarantine", CrashRecords)
    assert answer is not None
    return {one.task: one for one in answer.records}


def state_of(fleet: Fleet, job: str) -> str:
    task = fleet.server.task(job)
    assert task is not None
    return str(task["state"])


async def crash(fleet: Fleet, wire: Wire, steward: Process, member: str, *jobs: str) -> None:
    """Have `member` claim `jobs` and die."""
    async with HandMember(started(steward), member) as hand:
        for job in jobs:
            await hand.claim(wire, job)
    wait_until(
        lambda: all(state_of(fleet, job) in ("pending", "halted") for job in jobs),
        5,
        f"what {member} held is released or parked",
    )


async def test_a_job_is_parked_after_more_crashes_than_allowed_and_its_company_is_not(
    fleet: Fleet, wire: Wire
) -> None:
    steward = fleet.steward(STEWARD_MAX_CRASHES="2", **PROMPT)
    for job in ("poison", "other-1", "other-2", "other-3"):
        await submit(wire, job)
    for number in (1, 2, 3):
        assert state_of(fleet, "poison") == "pending"
        await crash(fleet, wire, steward, f"m-{number}", "poison", f"other-{number}")
    assert state_of(fleet, "poison") == "halted"
    wait_until(lambda: fleet.journal_of(Parked), 5, "the journal tells of it")
    line = fleet.journal_of(Parked)[0]
    assert (line.job, line.crashes, line.members) == ("poison", 3, ["m-1", "m-2", "m-3"])
    assert {state_of(fleet, f"other-{n}") for n in (1, 2, 3)} == {"pending"}
    records = await remembered(steward)
    (shown,) = await parked(wire, records)
    assert (shown.task, shown.function, shown.claims) == ("poison", "by_hand", 3)
    assert shown.record is not None
    assert [one.attempt for one in shown.record.crashes] == [1, 2, 3]


async def test_counts_survive_a_restart_of_the_steward(
    fleet: Fleet, wire: Wire, tmp_path: Path
) -> None:
    state = tmp_path / "steward.json"
    await submit(wire, "poison")
    for number in (1, 2):
        steward = fleet.steward(
            f"steward-{number}", STEWARD_MAX_CRASHES="1", STEWARD_STATE=str(state), **PROMPT
        )
        await crash(fleet, wire, steward, f"m-{number}", "poison")
        steward.kill()
    assert state_of(fleet, "poison") == "halted"
    kept = msgspec.json.decode(state.read_bytes(), type=Memory)
    assert kept.records["poison"].members == ["m-1", "m-2"]


async def test_counts_survive_a_change_of_the_steward(fleet: Fleet, wire: Wire) -> None:
    """The steward that members do not serve sees the deaths too."""
    one, other = (fleet.steward(name, STEWARD_MAX_CRASHES="2", **PROMPT) for name in ("a", "b"))
    await submit(wire, "poison")
    for number in (1, 2):
        async with (
            HandMember(started(other), f"m-{number}", offers=0) as beside,
            HandMember(started(one), f"m-{number}") as hand,
        ):
            task = await hand.claim(wire, "poison")
            await beside.say(Report(claimed=[("poison", task.version, "by_hand")]))
            wait_until(lambda: state_of(fleet, "poison") == "acquired", 5, "it is held")
        await freed(wire, "poison")
    one.kill()
    await crash(fleet, wire, other, "m-3", "poison")
    assert state_of(fleet, "poison") == "halted"
    (line,) = fleet.journal_of(Parked)
    assert (line.crashes, set(line.members)) == (3, {"m-1", "m-2", "m-3"})


async def test_drains_do_not_count(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_MAX_CRASHES="0", **PROMPT)
    await submit(wire, "job-1")
    async with HandMember(started(steward), "m-1") as member:
        task = await member.claim(wire, "job-1")
        await wire.release("job-1", task.version)
        await member.leave()
    await claim(wire, "job-1", "m-1")  # left behind after the goodbye: released, not counted
    await freed(wire, "job-1")
    assert fleet.journal_of(Parked) == []


async def test_a_false_alarm_takes_a_job_out_of_quarantine(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_MAX_CRASHES="0", **PROMPT)
    await submit(wire, "job-1")
    async with HandMember(started(steward), "m-1") as member:
        await member.claim(wire, "job-1")
        await member.vanish()
        wait_until(lambda: state_of(fleet, "job-1") == "halted", 5, "it is parked")
        await member.connect()
        await freed(wire, "job-1")
    assert [line.job for line in fleet.journal_of(Redriven)] == ["job-1"]


async def test_several_suspects_are_tried_one_after_the_other(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_MAX_CRASHES="0", **PROMPT)
    jobs = ("a", "b", "c")
    for job in jobs:
        await submit(wire, job)
    async with HandMember(started(steward), "m-1") as member:
        for job in jobs:
            await member.claim(wire, job)
    async with HandMember(started(steward), "m-2") as other:
        for job in jobs:  # each in its turn, the next not before the one before is over
            await freed(wire, job)
            assert [j for j in jobs if state_of(fleet, j) == "pending"] == [job]
            mine = await other.claim(wire, job)
            assert await fulfil(wire, job, mine.version, "MQ==") == 200
            await other.say(Report(ended=[(job, mine.version, "resolved")]))
    assert fleet.journal_of(Parked) == []


async def park(fleet: Fleet, wire: Wire, job: str) -> Process:
    steward = fleet.steward(STEWARD_MAX_CRASHES="0", **PROMPT)
    await submit(wire, job)
    await crash(fleet, wire, steward, "m-1", job)
    assert state_of(fleet, job) == "halted"
    return steward


async def test_redrive_gives_it_back_with_a_clean_record(fleet: Fleet, wire: Wire) -> None:
    steward = await park(fleet, wire, "job-1")
    await jobacts.redrive(wire, "job-1")
    assert state_of(fleet, "job-1") == "pending"
    async with asyncio.timeout(100):  # after a search that a busy machine made slow it rests
        while await remembered(steward):  # noqa: ASYNC110 - until the steward has seen it too
            await asyncio.sleep(0.05)


async def test_reject_ends_the_job_with_the_reason(fleet: Fleet, wire: Wire) -> None:
    await park(fleet, wire, "job-1")
    promise = await jobacts.reject(wire, "job-1", "no good")
    assert promise.state == "rejected"
    assert promise.value.decoded() == {"__type": "error", "message": "no good"}
    assert state_of(fleet, "job-1") == "fulfilled"
    assert await parked(wire, {}) == []


async def test_only_what_is_parked_can_be_shown_redriven_or_rejected(
    fleet: Fleet, wire: Wire
) -> None:
    await submit(wire, "job-1")
    with pytest.raises(jobacts.NotParked, match="job-1 is pending, not parked"):
        await jobacts.redrive(wire, "job-1")
    with pytest.raises(jobacts.NotParked, match="job-1 is pending, not parked"):
        await jobacts.reject(wire, "job-1", "no good")
    with pytest.raises(jobacts.NotParked, match="there is no task nobody"):
        await jobacts.parked_task(wire, "nobody")
    assert state_of(fleet, "job-1") == "pending"

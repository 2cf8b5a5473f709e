"""The steward and a server, with members made by hand."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import pytest

from resonate_fleet.contract.journal import Died, FalseAlarm, HandedOver, Joined, Left
from resonate_fleet.contract.presence import Released
from resonate_fleet.contract.wire import Wire
from tests.support.fleet import Fleet
from tests.support.members import HandMember, claim, freed, fulfil, is_pending, submit
from tests.support.pages import value
from tests.support.processes import Process
from tests.support.waiting import wait_until, wait_until_async

pytestmark = pytest.mark.system


def presence_port(steward: Process) -> int:
    return int(steward.line("steward.started")["presence_port"])


def page(steward: Process, path: str) -> str:
    port = steward.line("steward.started")["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def members(steward: Process) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(page(steward, "/state"))["members"]
    return [one for one in found if one["state"] == "present"]


@pytest.fixture
async def wire(fleet: Fleet) -> AsyncIterator[Wire]:
    async with Wire(fleet.server.url) as opened:
        yield opened


async def test_the_leases_of_a_member_that_vanished_are_released(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward()
    async with (
        HandMember(presence_port(steward), "m-1") as one,
        HandMember(presence_port(steward), "m-2") as two,
    ):
        for number in range(5):
            await submit(wire, f"job-{number}")
            await (one if number < 3 else two).claim(wire, f"job-{number}")
        wait_until(lambda: len(members(steward)) == 2, 5, "both are present")
    await freed(wire, "job-0")
    wait_until(lambda: len(fleet.journal_of(HandedOver)) == 5, 5, "all five are handed over")
    died = {line.member: line.tasks for line in fleet.journal_of(Died)}
    assert died["m-1"] == [("job-0", 1), ("job-1", 1), ("job-2", 1)]
    assert died["m-2"] == [("job-3", 1), ("job-4", 1)]
    assert all(line.seconds < 3 for line in fleet.journal_of(HandedOver))
    assert "fleet_steward_handovers_total 5.0" in page(steward, "/metrics")
    assert "fleet_steward_deaths_total 2.0" in page(steward, "/metrics")


async def test_a_member_that_says_goodbye_is_not_missed(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_GRACE="0")
    async with HandMember(presence_port(steward), "m-1") as member:
        await member.leave()
        wait_until(lambda: fleet.journal_of(Left), 5, "the goodbye is in the journal")
    async with HandMember(presence_port(steward), "m-2"):
        pass
    died = wait_until(lambda: fleet.journal_of(Died), 5, "the death of another is in the journal")
    assert [line.member for line in died] == ["m-2"]
    assert [line.member for line in fleet.journal_of(Joined)] == ["m-1", "m-2"]


async def test_what_a_member_left_behind_after_its_goodbye_is_swept_up(
    fleet: Fleet, wire: Wire
) -> None:
    steward = fleet.steward(STEWARD_INTERVAL="0.1")
    await submit(wire, "job-1")
    async with HandMember(presence_port(steward), "m-1") as member:
        await member.leave()
        wait_until(lambda: fleet.journal_of(Left), 5, "the goodbye is in the journal")
    await claim(wire, "job-1", "m-1")
    await freed(wire, "job-1")
    assert json.loads(page(steward, "/quarantine"))["records"] == []


async def test_a_claim_that_arrives_after_the_death_is_released_too(
    fleet: Fleet, wire: Wire
) -> None:
    steward = fleet.steward(STEWARD_GRACE="0", STEWARD_INTERVAL="600")
    await submit(wire, "late")
    async with HandMember(presence_port(steward), "m-1") as member:
        assert await member.next_task() == ("late", 0)
    wait_until(lambda: fleet.journal_of(Died), 5, "the death is in the journal")
    await claim(wire, "late", "m-1")
    await freed(wire, "late")
    assert json.loads(page(steward, "/quarantine"))["records"] == []


async def test_a_member_that_reconnects_in_time_keeps_its_leases(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_GRACE="1")
    await submit(wire, "job-1")
    async with HandMember(presence_port(steward), "m-1") as member:
        await member.claim(wire, "job-1")
        await member.vanish()
        await member.connect()
        await asyncio.sleep(1.5)  # the grace has passed
        task = await wire.task("job-1")
        assert task is not None
        assert (task.state, task.pid) == ("acquired", "m-1")
        assert fleet.journal_of(Died) == []


async def test_a_newer_connection_takes_the_place_of_the_older(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_GRACE="0")
    await submit(wire, "job-1")
    async with HandMember(presence_port(steward), "m-1") as member:
        await member.claim(wire, "job-1")
        async with HandMember(presence_port(steward), "m-1"):
            pass  # this one is the member's now, and it ends
        await freed(wire, "job-1")


async def test_a_false_alarm_is_told_and_its_late_result_refused(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward()
    await submit(wire, "job-1")
    async with HandMember(presence_port(steward), "m-1") as member:
        mine = await member.claim(wire, "job-1")
        await member.vanish()
        await freed(wire, "job-1")
        other = await claim(wire, "job-1", "m-2")
        await member.connect()
        assert await member.hear() == Released(tasks=[("job-1", 1)])
        assert await fulfil(wire, "job-1", mine.version, "bGF0ZQ==") == 409
        assert await fulfil(wire, "job-1", other.version, "b25l") == 200
        wait_until(lambda: fleet.journal_of(FalseAlarm), 5, "the false alarm is in the journal")
    promise = await wire.promise("job-1")
    assert promise is not None
    assert promise.value.data == "b25l"
    assert json.loads(page(steward, "/quarantine"))["records"] == []
    assert "fleet_steward_false_alarms_total 1.0" in page(steward, "/metrics")


async def test_members_that_died_with_the_steward_are_handed_over_at_its_restart(
    fleet: Fleet, wire: Wire, tmp_path: Any
) -> None:
    env: dict[str, Any] = {
        "STEWARD_STATE": str(tmp_path / "steward.json"),
        "STEWARD_RECONNECT": "0.5",
    }
    steward = fleet.steward(**env)
    for job in ("stays", "dies", "unknown"):
        await submit(wire, job)
    async with HandMember(presence_port(steward), "m-stays") as stays:
        async with HandMember(presence_port(steward), "m-dies"):
            await claim(wire, "stays", "m-stays")
            await claim(wire, "dies", "m-dies")
            await claim(wire, "unknown", "m-without-presence")
            await wait_for_state(tmp_path / "steward.json", {"m-stays", "m-dies"})
            steward.kill()
        steward = fleet.steward("steward-2", **env)
        stays.port = presence_port(steward)
        await stays.connect()
        await freed(wire, "dies")
        assert not await is_pending(wire, "stays")
        assert not await is_pending(wire, "unknown")
        assert [line.member for line in fleet.journal_of(Died)] == ["m-dies"]


async def wait_for_state(path: Any, members: set[str]) -> None:
    def look() -> bool:
        return path.exists() and set(json.loads(path.read_text())["members"]) == members

    await wait_until_async(look, 5, f"the state file names {members}")


async def test_two_stewards_at_once_do_no_harm(fleet: Fleet, wire: Wire, tmp_path: Any) -> None:
    state: dict[str, Any] = {
        "STEWARD_STATE": str(tmp_path / "steward.json"),
        "STEWARD_RECONNECT": "0.2",
    }
    first = fleet.steward("first", **state)
    async with HandMember(presence_port(first), "m-1") as member:
        await submit(wire, "job-1")
        await member.claim(wire, "job-1")
        await wait_for_state(tmp_path / "steward.json", {"m-1"})
        second = fleet.steward("second", **state, STEWARD_INTERVAL="0.1")
        wait_until(
            lambda: 'fleet_member_leases{member="m-1"} 1.0' in page(second, "/metrics"),
            5,
            "the second one has looked",
        )
        await asyncio.sleep(0.5)  # longer than it gives members to come back
        assert not await is_pending(wire, "job-1")
        async with HandMember(presence_port(second), "m-1"):
            pass  # it loses its connection to the second one only
        await freed(wire, "job-1")
    wait_until(lambda: len(fleet.journal_of(Died)) == 2, 5, "both took it for dead")
    assert len(fleet.journal_of(HandedOver)) == 1


async def test_the_steward_waits_for_a_server_that_is_away(
    durable_fleet: Fleet,
) -> None:
    steward = durable_fleet.steward()
    async with Wire(durable_fleet.server.url) as wire:
        await submit(wire, "job-1")
        async with HandMember(presence_port(steward), "m-1") as member:
            await member.claim(wire, "job-1")
            durable_fleet.server.kill()
        wait_until(lambda: steward.lines("steward.failed"), 5, "the steward noticed")
        durable_fleet.server.start()
        await freed(wire, "job-1")


def test_it_stops_in_order_and_exits_with_0(fleet: Fleet) -> None:
    steward = fleet.steward()
    assert page(steward, "/readyz") == "ok\n"
    assert page(steward, "/livez") == "ok\n"
    steward.terminate()
    assert steward.wait(10) == 0
    assert [line["step"] for line in steward.lines("stop.step")] == ["not-ready", "closed"]


async def test_its_own_stop_alarms_nobody(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_GRACE="0")
    await submit(wire, "job-1")
    async with HandMember(presence_port(steward), "m-1") as member:
        await member.claim(wire, "job-1")
        steward.terminate()
        assert steward.wait(10) == 0
        assert not await is_pending(wire, "job-1")
    assert fleet.journal_of(Died) == []


async def test_a_disk_that_refuses_the_state_does_not_stop_hand_overs(
    fleet: Fleet, wire: Wire, tmp_path: Any
) -> None:
    folder = tmp_path / "state"
    steward = fleet.steward(STEWARD_STATE=str(folder / "steward.json"), STEWARD_GRACE="0")
    (folder / "steward.new").mkdir()  # where the next state is to be written
    await submit(wire, "job-1")
    async with HandMember(presence_port(steward), "m-1") as member:
        await member.claim(wire, "job-1")
    await freed(wire, "job-1")
    failed = 'fleet_steward_errors_total{what="state"}'
    wait_until(lambda: value(page(steward, "/metrics"), failed), 5, "and it is counted")

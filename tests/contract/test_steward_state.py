"""What the steward exports is what the server says."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest

from resonate_fleet.contract.live import LiveGroup, LiveState
from resonate_fleet.contract.presence import Report
from resonate_fleet.contract.wire import Wire
from resonate_fleet.steward.survey import FEW, STATES, Surveyor
from tests.contract.test_steward_handover import page, presence_port
from tests.support.fleet import Fleet
from tests.support.members import HandMember, claim, fulfil, submit
from tests.support.pages import value
from tests.support.processes import Process
from tests.support.servers import Server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


@pytest.fixture
async def wire(server: Server) -> AsyncIterator[Wire]:
    async with Wire(server.url) as opened:
        yield opened


async def submit_many(wire: Wire, count: int, group: str, prefix: str) -> None:
    gate = asyncio.Semaphore(32)

    async def one(number: int) -> None:
        async with gate:
            await submit(wire, f"{prefix}-{number:05}", group)

    await asyncio.gather(*(one(number) for number in range(count)))


async def test_a_survey_shows_every_live_task_and_its_group(wire: Wire) -> None:
    await submit_many(wire, 3, "left", "l")
    await submit(wire, "right", "right")
    await submit(wire, "sleep:1", "left", resonate__timer="true")
    await claim(wire, "l-00000", "m-1")
    await wire.call("task.halt", {"id": "right"})
    surveyor, pages = Surveyor(wire), list[str]()
    await surveyor.search("pending", lambda tasks: pages.extend(one.id for one in tasks))
    await survey(surveyor)
    pending, held = surveyor.seen["pending"].tasks, surveyor.seen["acquired"].tasks
    assert pages == list(pending) == ["l-00001", "l-00002", "sleep:1"]
    assert [(one.id, one.pid) for one in held.values()] == [("l-00000", "m-1")]
    assert list(surveyor.seen["halted"].tasks) == ["right"]
    states = [surveyor.state(one) for one in ("l-00000", "l-00001", "right", "over")]
    assert states == ["acquired", "pending", "halted", None]
    groups = {task: (one.group, one.anyone) for task, one in surveyor.entries.items()}
    assert groups == {
        "l-00000": ("left", True),
        "l-00001": ("left", True),
        "l-00002": ("left", True),
        "right": ("right", True),
        "sleep:1": ("left", False),
    }


async def survey(surveyor: Surveyor) -> None:
    for state in STATES:
        await surveyor.search(state)


async def test_what_a_hint_has_told_is_not_looked_up(server: Server, wire: Wire) -> None:
    await submit_many(wire, 3, "left", "l")
    surveyor = Surveyor(wire)
    for job in ("l-00000", "l-00001", "l-00002"):
        surveyor.note(job, "left")
    await survey(surveyor)
    assert list(surveyor.seen["pending"].tasks) == ["l-00000", "l-00001", "l-00002"]
    assert requests(server, "promise.get") + requests(server, "promise.search") == 0
    surveyor.prune(lambda *_: False)
    assert len(surveyor.entries) == 3
    for job in list(surveyor.entries):
        await claim(wire, job, "m-1")
    await surveyor.search("pending")
    surveyor.prune(lambda task, _: task == "l-00001")
    assert list(surveyor.entries) == ["l-00001"]


async def test_many_new_jobs_are_learnt_by_pages_and_only_once(server: Server, wire: Wire) -> None:
    count = 4 * FEW
    await submit_many(wire, count, "many", "job")
    await submit_many(wire, 5, "other", "z")
    surveyor = Surveyor(wire)
    for _ in range(2):
        await survey(surveyor)
        assert len(surveyor.seen["pending"].tasks) == count + 5
    assert {one.group for one in surveyor.entries.values()} == {"many", "other"}
    assert requests(server, "promise.get") == 0
    assert requests(server, "promise.search") == 1
    await submit(wire, "one-more", "other")
    await survey(surveyor)
    assert surveyor.entries["one-more"].group == "other"
    assert requests(server, "promise.get") == 1


def requests(server: Server, kind: str) -> float:
    """Return how often the server has been asked `kind`, by its own count."""
    lines = server.metrics().splitlines()
    mine = [one for one in lines if one.startswith("resonate_request_total") and f'"{kind}"' in one]
    return sum(float(one.rpartition(" ")[2]) for one in mine)


async def test_a_suspended_job_is_counted_as_that(fleet: Fleet, wire: Wire) -> None:
    await submit(wire, "parent")
    await submit(wire, "parent:1")
    task = await claim(wire, "parent", "m-1")
    action = {
        "kind": "promise.register_callback",
        "head": {"corrId": "x", "version": ""},
        "data": {"awaited": "parent:1", "awaiter": "parent"},
    }
    await wire.call("task.suspend", {"id": "parent", "version": task.version, "actions": [action]})
    steward = fleet.steward()
    # The child was called on a group: it waits for a member like any job.
    expected = LiveGroup(group="worker-group", waiting=1, suspended=1)

    def counts() -> list[LiveGroup]:
        groups = state(steward).groups
        return [msgspec.structs.replace(one, oldest=None) for one in groups]

    wait_until(lambda: counts() == [expected], 5, "both show")


def state(steward: Process) -> LiveState:
    return msgspec.json.decode(page(steward, "/state"), type=LiveState)


async def test_the_metrics_page_follows_the_server(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_INTERVAL="0.1", STEWARD_GROUPS="quiet,worker-group")
    wait_until(lambda: 'fleet_jobs_waiting{group="quiet"} 0.0' in page(steward, "/metrics"), 5, "0")
    await submit(wire, "job-1")
    await submit(wire, "job-2")
    async with HandMember(presence_port(steward), "m-1") as member:
        await member.claim(wire, "job-1")
        for line in (
            'fleet_jobs_waiting{group="worker-group"} 1.0',
            'fleet_jobs_running{group="worker-group"} 1.0',
            'fleet_members{group="worker-group"} 1.0',
            'fleet_member_leases{member="m-1"} 1.0',
        ):
            wait_until(lambda line=line: line in page(steward, "/metrics"), 5, line)  # type: ignore[misc]
        (one,) = state(steward).members
        shown = (one.member, one.group, one.slots, one.state)
        assert shown == ("m-1", "worker-group", 4, "present")
        await wire.release("job-1", 1)
        await member.say(Report(ended=[("job-1", 1, "released")]))
        await member.leave()
    gone = 'fleet_member_leases{member="m-1"}'
    wait_until(lambda: gone not in page(steward, "/metrics"), 5, "its series is gone")
    zero = 'fleet_members{group="worker-group"} 0.0'
    wait_until(lambda: zero in page(steward, "/metrics"), 5, "no members are zero members")


def test_it_says_so_when_the_server_does_not_answer(fleet: Fleet) -> None:
    steward = fleet.steward(STEWARD_INTERVAL="0.1")
    fleet.server.kill()
    wait_until(lambda: steward.lines("steward.failed"), 5, "the log tells of it")
    failed = 'fleet_steward_errors_total{what="survey"}'
    wait_until(lambda: value(page(steward, "/metrics"), failed), 5, "and so do the metrics")
    assert page(steward, "/readyz") == "ok\n", "members must still find their steward"


NONSENSE = (b"", b"\n", b"GET / HTTP/1.1\r\n\r\n", b"{}\n", b"x" * 10_000, b'{"kind":"bye"}\n')


def test_nonsense_on_the_presence_port_ends_that_connection_only(fleet: Fleet) -> None:
    steward = fleet.steward()
    for nonsense in NONSENSE:
        with socket.create_connection(("127.0.0.1", presence_port(steward)), timeout=5) as talk:
            talk.sendall(nonsense)
            talk.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while talk.recv(1000):
                    pass  # the challenge, and why it is denied
    assert json.loads(page(steward, "/state"))["members"] == []
    assert steward.running


async def test_the_live_state_tells_who_runs_what(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward()
    await submit(wire, "job-1")
    await submit(wire, "job-2")
    async with HandMember(presence_port(steward), "m-1") as member:
        await member.claim(wire, "job-1")
        wait_until(lambda: state(steward).running and state(steward).complete, 5, "the claim shows")
        told = state(steward)
        assert [(one.task, one.attempt, one.function, one.member) for one in told.running] == [
            ("job-1", 1, "by_hand", "m-1")
        ]
        assert [(one.group, one.waiting, one.running) for one in told.groups] == [
            ("worker-group", 1, 1)
        ]
        assert [(one.member, one.slots, one.free) for one in told.members] == [("m-1", 4, 3)]
        assert told.serving
        assert told.as_of > told.at - 5
        await fulfil(wire, "job-1", 1, "MQ==")
        await member.say(Report(ended=[("job-1", 1, "resolved")]))
        wait_until(lambda: state(steward).ended, 5, "its end shows")
        told = state(steward)
        assert [(one.task, one.outcome) for one in told.ended] == [("job-1", "resolved")]
        assert told.groups[0].done == 1
    wait_until(lambda: state(steward).members[0].state == "dead", 5, "its death shows")
    assert [one.kind for one in state(steward).marks] == ["joined", "died"]

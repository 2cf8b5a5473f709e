"""The presence port under attack: no healthy member loses a lease or a start."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from resonate_fleet.contract.journal import Died
from resonate_fleet.contract.presence import (
    Challenge,
    Denied,
    Hello,
    Report,
    Welcome,
    decode_steward,
    line,
    prove,
)
from resonate_fleet.contract.wire import Wire
from tests.contract.test_steward_handover import page, presence_port
from tests.support.fleet import Fleet
from tests.support.members import HandMember, claim, freed, is_pending, submit
from tests.support.processes import Process
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

SECRET = "only the fleet knows"
IDLE = 1000
HELLO = Hello(member="m-1", group="worker-group", slots=4, key="k", nonce="mine")


@pytest.fixture
async def wire(fleet: Fleet) -> AsyncIterator[Wire]:
    async with Wire(fleet.server.url) as opened:
        yield opened


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process open more files than the idle connections need."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Stranger:
    """A connection to the presence port, without manners."""

    async def open(self, steward: Process) -> str:
        """Connect; return the steward's nonce."""
        port = presence_port(steward)
        self._reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        challenge = await self.hear()
        assert isinstance(challenge, Challenge)
        return challenge.nonce

    async def hear(self) -> Any:
        text = await asyncio.wait_for(self._reader.readline(), 5)
        return decode_steward(text) if text else None

    async def say(self, message: Any) -> Any:
        """Return the answer."""
        self.writer.write(line(message))
        return await self.hear()


def present(steward: Process) -> set[str]:
    members = json.loads(page(steward, "/members"))["members"]
    return {one["member"] for one in members if one["present"]}


async def test_wrong_replayed_and_missing_proofs_are_denied(fleet: Fleet) -> None:
    steward = fleet.steward(FLEET_PRESENCE_SECRET=SECRET)
    first, second = Stranger(), Stranger()
    nonce = await first.open(steward)
    proof = prove(SECRET, "member", nonce, HELLO)
    proven = msgspec.structs.replace(HELLO, proof=proof)
    other_name = msgspec.structs.replace(proven, member="m-2")
    steward_side = prove(SECRET, "steward", nonce, HELLO)
    guesses = [
        HELLO,
        msgspec.structs.replace(HELLO, proof=prove("another", "member", nonce, HELLO)),
        msgspec.structs.replace(HELLO, proof=steward_side),
        proven,  # recorded on another connection
        other_name,
    ]
    for guess in guesses:
        stranger = Stranger()
        await stranger.open(steward)
        answer = await stranger.say(guess)
        assert isinstance(answer, Denied), guess
        assert await stranger.hear() is None, "and the connection is closed"
    assert present(steward) == set()
    welcome = await first.say(proven)
    assert isinstance(welcome, Welcome)
    assert welcome.proof == steward_side, "the steward proves itself too"
    assert present(steward) == {"m-1"}
    assert SECRET not in steward.out.read_text()
    await second.open(steward)


async def test_a_member_takes_no_work_from_a_steward_that_proves_nothing(fleet: Fleet) -> None:
    address = f"127.0.0.1:{presence_port(fleet.steward())}"
    worker = fleet.worker("w", WORKER_STEWARD=address, FLEET_PRESENCE_SECRET=SECRET)
    worker.line("presence.refused")
    assert worker.lines("presence.held") == []


async def test_members_and_stewards_with_one_secret_work(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(FLEET_PRESENCE_SECRET=SECRET)
    address = f"127.0.0.1:{presence_port(steward)}"
    worker = fleet.worker("w", WORKER_STEWARD=address, FLEET_PRESENCE_SECRET=SECRET)
    worker.line("presence.held")
    assert SECRET not in worker.out.read_text()
    assert steward.lines("presence.open") == []


async def test_the_name_of_a_present_member_is_not_given_away(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_GRACE="0")
    assert len(steward.lines("presence.open")) == 1, "without a secret it says so"
    await submit(wire, "job-1")
    async with HandMember(presence_port(steward), "m-1") as member:
        await member.claim(wire, "job-1")
        thief = Stranger()
        await thief.open(steward)
        answer = await thief.say(HELLO)
        assert isinstance(answer, Denied)
        thief.writer.close()
        await submit(wire, "job-2")
        assert await member.next_task() == ("job-1", 0) or member.assigned
        assert not await is_pending(wire, "job-1")
        assert fleet.journal_of(Died) == []
    await freed(wire, "job-1")


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_idle_connections_keep_nobody_out(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward()
    port = presence_port(steward)
    await submit(wire, "job-1")
    async with AsyncExitStack() as stack:
        member = await stack.enter_async_context(HandMember(port, "m-1"))
        await member.claim(wire, "job-1")
        for _ in range(IDLE):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
        late = await stack.enter_async_context(HandMember(port, "m-2"))
        await submit(wire, "job-2")
        assert (await late.next_task())[0] in ("job-1", "job-2")
        assert present(steward) == {"m-1", "m-2"}
        assert not await is_pending(wire, "job-1")
    assert steward.running


async def test_more_credits_than_slots_draw_no_more_than_slots(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward()
    port = presence_port(steward)
    async with HandMember(port, "greedy", slots=2, offers=100_000) as greedy:
        async with HandMember(port, "modest"):
            for number in range(4):
                await submit(wire, f"job-{number}")
            for _ in range(10):
                await greedy.say(Report(free=100_000))
            got = [await greedy.next_task() for _ in range(2)]
            assert len({task for task, _ in got}) == 2
            await claim(wire, "job-3", "elsewhere")
            wait_until(lambda: steward.running, 1, "it lives")
            with pytest.raises(TimeoutError):
                await greedy.next_task(timeout=2.0)


async def test_garbage_beside_a_healthy_member_harms_it_not(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_GRACE="0")
    port = presence_port(steward)
    await submit(wire, "job-1")
    async with HandMember(port, "m-1") as member:
        await member.claim(wire, "job-1")
        for garbage in (b"\0" * 100_000, b"{}\n" * 1000, b'{"kind":"report","free":-1}\n'):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            writer.close()
        huge = Stranger()
        await huge.open(steward)
        answer = await huge.say(msgspec.structs.replace(HELLO, member="m-2", slots=10**9))
        assert isinstance(answer, Denied)
        assert present(steward) == {"m-1"}
        assert not await is_pending(wire, "job-1")

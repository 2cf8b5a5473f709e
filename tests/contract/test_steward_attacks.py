"""The presence port under attack: no healthy member loses a lease or a start."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Self

import msgspec
import pytest

from resonate_fleet.contract.journal import Died
from resonate_fleet.contract.presence import (
    HELLO_BYTES,
    Challenge,
    Denied,
    FromMember,
    FromSteward,
    Hello,
    Report,
    Welcome,
    decode_steward,
    line,
    prove,
)
from resonate_fleet.contract.sockets import MOST_STRANGERS
from resonate_fleet.contract.wire import Wire
from tests.contract.test_steward_handover import page, presence_port
from tests.contract.test_worker_presence import HandSteward
from tests.support.fleet import Fleet
from tests.support.idle import idle_connections, still_open
from tests.support.members import HandMember, freed, is_pending, submit
from tests.support.processes import Process

pytestmark = pytest.mark.system

SECRET = "only the fleet knows"
IDLE = 1000
HELLO = Hello(member="m-1", group="worker-group", slots=4, incarnation="k", nonce="mine")


@pytest.fixture
async def wire(fleet: Fleet) -> AsyncIterator[Wire]:
    async with Wire(fleet.server.url) as opened:
        yield opened


class Stranger:
    """A connection to the presence port, without manners."""

    def __init__(self, steward: Process) -> None:
        self._peer = socket.create_connection(("127.0.0.1", presence_port(steward)), timeout=5)
        self._lines = self._peer.makefile("rb")
        challenge = self.hear()
        assert isinstance(challenge, Challenge)
        self.nonce = challenge.nonce

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._peer.close()

    def hear(self) -> FromSteward | None:
        text = self._lines.readline()
        return decode_steward(text) if text else None

    def say(self, message: FromMember) -> FromSteward | None:
        """Return the answer."""
        return self.say_raw(line(message))

    def say_raw(self, text: bytes) -> FromSteward | None:
        self._peer.sendall(text)
        return self.hear()


def present(steward: Process) -> set[str]:
    members = json.loads(page(steward, "/state"))["members"]
    return {one["member"] for one in members if one["state"] == "present"}


def test_wrong_replayed_and_missing_proofs_are_denied(fleet: Fleet) -> None:
    steward = fleet.steward(FLEET_PRESENCE_SECRET=SECRET)
    first = Stranger(steward)
    nonce = first.nonce
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
        with Stranger(steward) as stranger:
            assert isinstance(stranger.say(guess), Denied), guess
            assert stranger.hear() is None, "and the connection is closed"
    assert present(steward) == set()
    with first:
        welcome = first.say(proven)
        assert isinstance(welcome, Welcome)
        assert welcome.proof == steward_side, "the steward proves itself too"
        assert present(steward) == {"m-1"}
    assert SECRET not in steward.err.read_text()


def test_a_member_takes_no_work_from_a_steward_that_proves_nothing(fleet: Fleet) -> None:
    address = f"127.0.0.1:{presence_port(fleet.steward())}"
    worker = fleet.worker("w", WORKER_STEWARD=address, FLEET_PRESENCE_SECRET=SECRET)
    worker.line("steward.unreachable")
    assert len(worker.lines("presence.refused")) == 1, "said once, however often it tries"
    assert worker.lines("presence.held") == []
    pretender = HandSteward()
    address = f"127.0.0.1:{pretender.port}"
    worker = fleet.worker("v", WORKER_STEWARD=address, FLEET_PRESENCE_SECRET=SECRET)
    pretender.greet()
    assert pretender.hear() is None, "nothing is offered to it"
    assert "has not proven" in worker.line("presence.refused")["why"]
    assert worker.lines("presence.held") == []
    pretender.close()


def test_members_and_stewards_with_one_secret_work(fleet: Fleet) -> None:
    steward = fleet.steward(FLEET_PRESENCE_SECRET=SECRET)
    address = f"127.0.0.1:{presence_port(steward)}"
    worker = fleet.worker("w", WORKER_STEWARD=address, FLEET_PRESENCE_SECRET=SECRET)
    worker.line("presence.held")
    assert SECRET not in worker.err.read_text()
    assert steward.lines("presence.open") == []


async def test_the_name_of_a_present_member_is_not_given_away(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_GRACE="0")
    assert len(steward.lines("presence.open")) == 1, "without a secret it says so"
    await submit(wire, "job-1")
    async with HandMember(presence_port(steward), "m-1") as member:
        await member.claim(wire, "job-1")
        with Stranger(steward) as thief:
            assert isinstance(thief.say(HELLO), Denied)
        await member.say(Report(free=1))
        await submit(wire, "job-2")
        await member.next_task()
        assert not await is_pending(wire, "job-1")
        assert fleet.journal_of(Died) == []
    await freed(wire, "job-1")


def test_an_incarnation_may_be_any_text(fleet: Fleet) -> None:
    steward = fleet.steward(STEWARD_GRACE="0")
    spelt = msgspec.structs.replace(HELLO, incarnation="schl\u00fcssel \U0001f511")
    with Stranger(steward) as member:
        assert isinstance(member.say(spelt), Welcome)
        for other in ("k", "schl\u00fcssel", ""):
            with Stranger(steward) as thief:
                answer = thief.say(msgspec.structs.replace(spelt, incarnation=other))
                assert isinstance(answer, Denied), other
    assert "Traceback" not in steward.err.read_text()


@pytest.mark.parametrize("text", [b'{"kind":"hello","x":' + b"[" * 60_000, b'"\xff"', b"[]"])
def test_nonsense_is_denied(fleet: Fleet, text: bytes) -> None:
    steward = fleet.steward()
    with Stranger(steward) as stranger:
        assert isinstance(stranger.say_raw(text + b"\n"), Denied)
        assert stranger.hear() is None, "and the connection is closed"
    assert "Traceback" not in steward.err.read_text()


def test_a_hello_without_an_end_is_denied(fleet: Fleet) -> None:
    with Stranger(fleet.steward()) as stranger:
        assert isinstance(stranger.say_raw(b"x" * (HELLO_BYTES + 1)), Denied)


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_idle_connections_keep_nobody_out(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward()
    port = presence_port(steward)
    await submit(wire, "job-1")
    async with AsyncExitStack() as stack:
        member = await stack.enter_async_context(HandMember(port, "m-1"))
        await member.claim(wire, "job-1")
        idle = stack.enter_context(idle_connections(port, IDLE))
        late = await stack.enter_async_context(HandMember(port, "m-2"))
        await submit(wire, "job-2")
        assert (await late.next_task())[0] in ("job-1", "job-2")
        assert present(steward) == {"m-1", "m-2"}
        assert not await is_pending(wire, "job-1")
        assert still_open(idle) <= MOST_STRANGERS
    assert steward.running


async def test_more_credits_than_slots_draw_no_more_than_slots(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward()
    port = presence_port(steward)
    async with (
        HandMember(port, "greedy", slots=2, offers=100_000) as greedy,
        HandMember(port, "modest") as modest,
    ):
        for _ in range(10):
            await greedy.say(Report(free=100_000))
        for number in range(4):
            await submit(wire, f"job-{number}")
        for _ in range(2):
            await greedy.next_task()
        await modest.next_task()
        with pytest.raises(TimeoutError):
            await greedy.next_task(timeout=2.0)


async def test_garbage_beside_a_healthy_member_harms_it_not(fleet: Fleet, wire: Wire) -> None:
    steward = fleet.steward(STEWARD_GRACE="0")
    port = presence_port(steward)
    await submit(wire, "job-1")
    async with HandMember(port, "m-1") as member:
        await member.claim(wire, "job-1")
        for garbage in (b"\0" * 100_000, b"{}\n" * 1000, b'{"kind":"report","free":-1}\n'):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
                peer.sendall(garbage)
        with Stranger(steward) as huge:
            huge_hello = msgspec.structs.replace(HELLO, member="m-2", slots=10**9)
            assert isinstance(huge.say(huge_hello), Denied)
        assert present(steward) == {"m-1"}
        assert not await is_pending(wire, "job-1")

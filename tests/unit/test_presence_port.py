"""What a member hears at the presence port, in virtual time, and what is made of its end."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import cast

import pytest

from resonate_fleet.contract import presence as messages
from resonate_fleet.contract.presence import BEAT_SECONDS, FromMember, FromSteward, Hello
from resonate_fleet.steward.membership import Membership
from resonate_fleet.steward.presence import Connection, Identity, PresenceServer
from tests.support.virtual import Process, VirtualLoop

pytestmark = pytest.mark.usefixtures("no_logs")


class Listener:
    """Keeps who came and what became of them."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.told: list[str] = []

    async def came(self, connection: Connection) -> list[FromSteward]:
        self.connections.append(connection)
        self.told.append("came")
        return []

    def heard(self, connection: Connection, message: FromMember) -> None:  # noqa: ARG002 - as in Membership
        self.told.append("heard")

    def left(self, connection: Connection) -> None:  # noqa: ARG002 - as in Membership
        self.told.append("left")

    def ended(self, connection: Connection) -> None:  # noqa: ARG002 - as in Membership
        self.told.append("ended")


class HandMember(asyncio.Protocol):
    """Says hello and keeps when it heard what."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.heard: list[tuple[float, FromSteward]] = []
        self.closed = False
        self._loop = loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.say(Hello("m", "g", 1))

    def say(self, message: FromMember) -> None:
        self._transport.write(messages.line(message))

    def data_received(self, data: bytes) -> None:
        now = round(self._loop.time(), 2)
        self.heard += [(now, messages.decode_steward(one)) for one in data.splitlines()]

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = True

    def beats(self) -> list[float]:
        return [at for at, one in self.heard if isinstance(one, messages.Beat)]


class Scene:
    """A steward and a member that it has welcomed at 0."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.listener, self.stop = Listener(), asyncio.Event()
        self.member = HandMember(self.loop)
        self.process = Process("m")
        self.loop.spawn(Process("steward"), self._steward())
        self.loop.run_for(0.0)
        self.loop.spawn(self.process, self._member())
        self.loop.run_for(0.01)
        [self.connection] = self.listener.connections

    async def _steward(self) -> None:
        me = Identity("steward", 0.0)
        async with PresenceServer(
            ("steward", 1), 10.0, cast("Membership", self.listener), me
        ) as port:
            beat = asyncio.create_task(port.beat())
            await self.stop.wait()
            beat.cancel()

    async def _member(self) -> None:
        await self.loop.create_connection(lambda: self.member, "steward", 1)

    def close(self) -> None:
        self.loop.end()


@pytest.fixture
def scene() -> Iterator[Scene]:
    with closing(Scene()) as one:
        yield one


def test_a_steward_that_has_nothing_to_say_beats_once_a_second(scene: Scene) -> None:
    scene.loop.run_for(3.4 * BEAT_SECONDS)
    assert scene.member.beats() == [1.0, 2.0, 3.0]


def test_what_a_steward_says_stands_for_a_beat(scene: Scene) -> None:
    scene.loop.call_later(0.9, scene.connection.say, messages.Cancel(["a"]))
    scene.loop.run_for(2.4 * BEAT_SECONDS)
    assert scene.member.beats() == [2.0]


def test_when_a_steward_stops_no_member_has_died(scene: Scene) -> None:
    scene.stop.set()
    scene.loop.run_for(0.1)
    assert scene.member.closed
    assert scene.listener.told == ["came"]


@pytest.mark.parametrize("word", ["left", "ended"])
def test_a_member_that_ends_with_a_goodbye_has_left_and_without_one_has_ended(
    scene: Scene, word: str
) -> None:
    if word == "left":
        scene.member.say(messages.Bye())
    else:
        scene.process.kill()
    scene.loop.run_for(0.1)
    assert scene.listener.told == ["came", word]


def test_a_member_that_leaves_too_much_unread_is_cut_off(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.virtual.End.get_write_buffer_size", lambda _: 5 << 20)
    scene.loop.call_soon(scene.connection.say, messages.Cancel(["a"]))
    scene.loop.run_for(0.1)
    assert scene.member.closed
    assert scene.listener.told == ["came", "ended"]

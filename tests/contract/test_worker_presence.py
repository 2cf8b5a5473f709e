"""The member's side of presence, against a steward made by hand."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from resonate_fleet.contract.presence import (
    HINT_BYTES,
    Busy,
    Bye,
    FromMember,
    FromSteward,
    Hello,
    Hint,
    Idle,
    Released,
    Welcome,
)
from resonate_fleet.member.presence import Presence
from tests.support.jobs import post_job
from tests.support.pages import metrics
from tests.support.place import Place
from tests.support.processes import Process

pytestmark = pytest.mark.system


class Listener:
    """A steward's presence port with one member at a time."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(10)
        self.port = self._server.getsockname()[1]

    def accept(self) -> None:
        self._peer, _ = self._server.accept()
        self._peer.settimeout(10)
        self._lines = self._peer.makefile("rb")

    def hear(self) -> FromMember | None:
        line = self._lines.readline()
        return msgspec.json.decode(line, type=FromMember) if line else None

    def say(self, message: FromSteward) -> None:
        self._peer.sendall(msgspec.json.encode(message) + b"\n")

    def hang_up(self) -> None:
        self._lines.close()
        self._peer.close()

    def close(self) -> None:
        self.hang_up()
        self._server.close()


class Deaf:
    """Hears nothing of what the steward says."""

    def released(self, task: str, version: int) -> None: ...
    def relayed(self, *, on: bool) -> None: ...
    def handed(self, task: str, version: int) -> None: ...


HELLO = Hello(member="w-abcdef", group="g", slots=1)


@pytest.fixture
def steward() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def member(place: Place, steward: Listener) -> Process:
    worker = place.worker(WORKER_STEWARD=f"127.0.0.1:{steward.port}", WORKER_SLOTS="3")
    steward.accept()
    return worker


def test_hello_and_bye(place: Place, steward: Listener, member: Process) -> None:
    assert steward.hear() == Hello(member=place.fleet.member(member), group=place.group, slots=3)
    steward.say(Welcome())
    member.line("presence.held")
    member.terminate()
    assert steward.hear() == Bye()
    assert steward.hear() is None
    assert member.wait(30) == 0


def test_a_member_that_leaves_while_it_connects_never_says_hello(
    steward: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the end of its process would look like a death."""
    connect = socket.create_connection
    connecting, left = threading.Event(), threading.Event()

    def slowly(*args: Any, **options: Any) -> socket.socket:
        connecting.set()
        left.wait(10)
        return connect(*args, **options)

    monkeypatch.setattr(socket, "create_connection", slowly)
    with Presence(("127.0.0.1", steward.port), HELLO, Deaf()) as presence:
        assert connecting.wait(10)
        presence.leave()
        left.set()
        steward.accept()
        assert steward.hear() is None


def test_death_closes_the_connection_at_once(steward: Listener, member: Process) -> None:
    assert isinstance(steward.hear(), Hello)
    member.kill()
    began = time.monotonic()
    assert steward.hear() is None
    assert time.monotonic() - began < 0.5


def test_the_member_comes_back_and_stops_what_was_handed_over(
    place: Place, steward: Listener, member: Process
) -> None:
    steward.hear()
    steward.say(Welcome())
    job = place.job("compute_something", 3.0)
    place.claimed(job)
    steward.hang_up()
    began = time.monotonic()
    steward.accept()
    assert isinstance(steward.hear(), Hello)
    assert time.monotonic() - began < 1.5
    assert place.server.call("task.release", id=job, version=1)[0] == 200
    steward.say(Welcome())
    steward.say(Released(tasks=[(job, 1), ("somebody-elses", 4)]))
    lost = member.line("lease.lost", 30)
    assert (lost["task"], lost["attempt"]) == (job, 1)
    assert len(member.lines("lease.lost")) == 1


def heard(steward: Listener, message: FromMember) -> None:
    """Wait until the member has said `message`; it may say others before."""
    while (said := steward.hear()) != message:
        assert said is not None, f"it never said {message}"


def test_hints_are_passed_on_and_taken(place: Place, steward: Listener) -> None:
    member = place.worker(WORKER_STEWARD=f"127.0.0.1:{steward.port}")
    steward.accept()
    steward.hear()
    steward.say(Welcome(hints=True))
    heard(steward, Idle())
    place.job("compute_something", 3.0)
    heard(steward, Busy())
    second = place.job("compute_something", 0.1)
    heard(steward, Hint(second, 0))
    assert "fleet_worker_hints_passed_on_total 1.0" in metrics(member)

    place.server.wait_results([second], 30)
    heard(steward, Idle())
    # Nobody listens there, and a look alone would not take it for this group's.
    third = post_job(place.server, "compute_something", 0.1, group=f"{place.group}-nobody")
    steward.say(Hint(third, 0))
    place.server.wait_results([third], 30)


def test_a_steward_that_passes_nothing_on_hears_nothing_of_it(
    place: Place, steward: Listener
) -> None:
    """An older one would take it for nonsense, and the member for dead."""
    member = place.worker(WORKER_STEWARD=f"127.0.0.1:{steward.port}")
    steward.accept()
    steward.hear()
    steward.say(Welcome())
    jobs = [place.job("compute_something", 0.5) for _ in range(3)]
    place.server.wait_results(jobs, 30)
    member.terminate()
    assert steward.hear() == Bye()


def test_a_steward_that_does_not_read_holds_up_nobody(steward: Listener) -> None:
    with Presence(("127.0.0.1", steward.port), HELLO, Deaf()) as presence:
        steward.accept()
        assert steward.hear() == HELLO
        hint = Hint("x" * (HINT_BYTES // 2), 0)
        for _ in range(20_000):  # more than the kernel keeps
            presence.tell(hint)
        presence.tell(Hint("y" * HINT_BYTES, 0))
        told = 0
        while told < 1000:
            assert steward.hear() == hint, "every line is whole"
            told += 1

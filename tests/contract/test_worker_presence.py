"""The member's side of presence, against a steward made by hand."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from resonate_fleet.contract.presence import (
    Assign,
    Beat,
    Bye,
    Cancel,
    Challenge,
    FromMember,
    FromSteward,
    Held,
    Hello,
    Holding,
    Released,
    Report,
    Welcome,
    Withdraw,
    decode_member,
    line,
)
from tests.support.jobs import post_job
from tests.support.place import Place
from tests.support.processes import Process

pytestmark = pytest.mark.system


class HandSteward:
    """A steward's presence port with one member at a time. It beats, so that it is believed."""

    def __init__(self, name: str = "by-hand", since: float = 1.0, port: int = 0) -> None:
        self.name, self.since = name, since
        self._server = socket.create_server(("127.0.0.1", port))
        self._server.settimeout(20)
        self.port = self._server.getsockname()[1]
        self._peer: socket.socket | None = None
        self._silent = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self._beats.start()
        #: What reports have told, one after the other.
        self.free = 0
        self.news: list[tuple[str, Any]] = []

    def accept(self) -> None:
        peer, _ = self._server.accept()
        peer.settimeout(20)
        self._lines = peer.makefile("rb")
        self._peer = peer
        self.say(Challenge("nonce"))

    def hear(self) -> FromMember | None:
        try:
            text = self._lines.readline()
        except ConnectionResetError:  # it ended with a beat unread
            return None
        return decode_member(text) if text else None

    def greet(self) -> Hello:
        """Accept a member and welcome it; return its hello."""
        self.accept()
        hello = self.hear()
        assert isinstance(hello, Hello)
        self.say(Welcome(self.name, self.since))
        return hello

    def listen(self, kind: str, task: str = "") -> Any:
        """Read on until a report tells of `kind` (and `task`); return what it says of it."""
        while True:
            for index, (what, told) in enumerate(self.news):
                if what == kind and task in ("", told if isinstance(told, str) else told[0]):
                    del self.news[index]
                    return told
            said = self.hear()
            assert said is not None, f"it never told of {kind} {task}"
            self.take(said)

    def take(self, said: FromMember) -> None:
        if isinstance(said, Report):
            self.free += said.free
            for kind in ("claimed", "refused", "returned", "declined", "ended"):
                self.news += [(kind, told) for told in getattr(said, kind)]

    def wait_free(self, count: int) -> None:
        """Read on until so many slots have been offered."""
        while self.free < count:
            said = self.hear()
            assert said is not None, f"it has offered {self.free} of {count} slots"
            self.take(said)

    def assign(self, *tasks: tuple[str, int]) -> None:
        self.free -= len(tasks)
        self.say(Assign(list(tasks)))

    def say(self, message: FromSteward) -> None:
        assert self._peer is not None
        self._peer.sendall(line(message))

    def fall_silent(self) -> None:
        self._silent.set()
        self._beats.join()

    def _beat(self) -> None:
        while not self._silent.wait(0.5):
            peer = self._peer
            if peer is not None:
                try:
                    peer.sendall(line(Beat()))
                except OSError:
                    continue

    def hang_up(self) -> None:
        if self._peer is not None:
            self._lines.close()
            peer, self._peer = self._peer, None
            with suppress(OSError):  # the member was faster
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()

    def close(self) -> None:
        self._silent.set()
        self.hang_up()
        self._server.close()


@pytest.fixture
def steward() -> Iterator[HandSteward]:
    hand = HandSteward()
    yield hand
    hand.close()


def start(place: Place, *stewards: HandSteward, slots: int = 1, **env: str) -> Process:
    addresses = ",".join(f"127.0.0.1:{one.port}" for one in stewards)
    return place.start_worker(WORKER_STEWARD=addresses, WORKER_SLOTS=f"{slots}", **env)


def elsewhere(place: Place, *call: Any) -> str:
    """Submit a job to a group that nobody listens to: this steward's own word is needed."""
    return post_job(place.server, *call, group=f"{place.group}-nobody")


def test_hello_what_it_holds_its_slots_and_bye(place: Place, steward: HandSteward) -> None:
    member = start(place, steward, slots=3)
    hello = steward.greet()
    assert (hello.member, hello.group, hello.slots) == (
        place.fleet.member(member),
        place.group,
        3,
    )
    assert "compute_something" in hello.functions
    assert steward.hear() == Held()
    steward.wait_free(3)
    member.line("presence.held")
    member.line("member.ready")
    member.terminate()
    assert steward.hear() == Withdraw(draining=True)
    assert steward.hear() == Bye()
    assert steward.hear() is None
    assert member.wait(30) == 0


def test_a_steward_that_ends_has_not_refused_the_member(place: Place, steward: HandSteward) -> None:
    member = start(place, steward)
    steward.greet()
    member.line("presence.held")
    steward.close()
    member.line("steward.unreachable")
    assert len(member.lines("presence.lost")) == 1
    assert member.lines("presence.refused") == []


def test_a_member_whose_loop_is_blocked_says_goodbye_too(
    place: Place, steward: HandSteward
) -> None:
    """Otherwise its jobs would be blamed for a crash."""
    member = start(place, steward, WORKER_DRAIN="0")
    steward.greet()
    steward.wait_free(1)
    job = elsewhere(place, "compute_on_loop", 8.0)
    steward.assign((job, 0))
    place.claimed(job)
    member.terminate()
    while (said := steward.hear()) != Bye():
        assert said is not None, "it never said goodbye"
    assert member.wait(10) == 0


def test_death_closes_the_connection_at_once(place: Place, steward: HandSteward) -> None:
    member = start(place, steward)
    steward.greet()
    steward.wait_free(1)
    member.kill()
    began = time.monotonic()
    assert steward.hear() is None
    assert time.monotonic() - began < 0.5


def test_an_assignment_is_claimed_and_every_end_of_it_told(
    place: Place, steward: HandSteward
) -> None:
    start(place, steward)
    steward.greet()
    steward.wait_free(1)
    job = elsewhere(place, "compute_something", 0.2)
    steward.assign((job, 0))
    assert steward.listen("claimed") == (job, 1, "compute_something")
    steward.wait_free(1)
    assert steward.listen("ended") == (job, 1, "resolved")
    steward.assign((job, 0))
    assert steward.listen("refused") == (job, 0)
    steward.wait_free(1)
    unknown = elsewhere(place, "no_such_function")
    steward.assign((unknown, 0))
    assert steward.listen("declined") == (unknown, "no_such_function")
    assert steward.listen("ended") == (unknown, 1, "unknown-function")


def test_what_it_has_no_slot_for_it_gives_back(place: Place, steward: HandSteward) -> None:
    start(place, steward)
    steward.greet()
    steward.wait_free(1)
    first, second = (elsewhere(place, "compute_something", 0.5) for _ in range(2))
    steward.assign((first, 0), (second, 0))
    assert steward.listen("returned") == second
    steward.wait_free(0)
    assert place.server.task(second)["version"] == 0  # type: ignore[index] # it is there


def test_the_member_comes_back_says_what_it_holds_and_stops_what_was_handed_over(
    place: Place, steward: HandSteward
) -> None:
    member = start(place, steward)
    incarnation = steward.greet().incarnation
    steward.wait_free(1)
    job = elsewhere(place, "compute_something", 3.0)
    steward.assign((job, 0))
    steward.listen("claimed", job)
    steward.hang_up()
    began = time.monotonic()
    assert steward.greet().incarnation == incarnation, "the same process"
    assert time.monotonic() - began < 1.5
    held = steward.hear()
    assert isinstance(held, Held)
    assert [(one.task, one.attempt, one.function) for one in held.attempts] == [
        (job, 1, "compute_something")
    ]
    assert isinstance(held.attempts[0], Holding)
    steward.say(Released(tasks=[(job, 1), ("somebody-elses", 4)]))
    lost = member.line("lease.lost", 30)
    assert (lost["task"], lost["attempt"]) == (job, 1)
    assert len(member.lines("lease.lost")) == 1


def test_a_cancelled_job_is_stopped(place: Place, steward: HandSteward) -> None:
    start(place, steward)
    steward.greet()
    steward.wait_free(1)
    job = elsewhere(place, "compute_something", 30.0)
    steward.assign((job, 0))
    steward.listen("claimed", job)
    steward.say(Cancel([job]))
    assert steward.listen("ended", job)[2] == "cancelled"


def test_without_its_steward_it_finds_work_itself_and_comes_back(
    place: Place, steward: HandSteward
) -> None:
    start(place, steward)
    steward.greet()
    steward.wait_free(1)
    steward.hang_up()
    port = steward.port
    steward.close()
    job = place.job("compute_something", 0.1)
    place.server.wait_results([job], 5)
    again = HandSteward(port=port)
    again.greet()
    again.wait_free(1)
    unheard = place.job("compute_something", 0.1)
    time.sleep(1)
    assert place.server.task(unheard)["version"] == 0, "it waits for the steward's word"  # type: ignore[index] # it is there
    again.close()


def test_slots_go_to_the_longest_standing_steward_and_at_once_to_the_next(place: Place) -> None:
    old, young = HandSteward("old", since=1.0), HandSteward("young", since=2.0)
    start(place, young, old)
    young.greet()
    old.greet()
    old.wait_free(1)
    job = elsewhere(place, "compute_something", 0.5)
    old.assign((job, 0))
    old.listen("claimed", job)
    assert young.listen("claimed", job), "both hear of it"
    old.wait_free(1)
    old.hang_up()
    began = time.monotonic()
    young.free = 0
    young.wait_free(1)
    assert time.monotonic() - began < 1.0  # 0.1 on a machine at rest
    for one in (old, young):
        one.close()


def test_a_steward_that_says_nothing_any_more_gets_no_slots(place: Place) -> None:
    stuck, fit = HandSteward("stuck", since=1.0), HandSteward("fit", since=2.0)
    start(place, stuck, fit)
    fit.greet()
    stuck.greet()
    stuck.wait_free(1)
    while (said := fit.hear()) != Withdraw():  # what it was offered before that is withdrawn
        assert said is not None
    stuck.fall_silent()
    fit.wait_free(1)
    for one in (stuck, fit):
        one.close()

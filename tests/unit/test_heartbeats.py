"""Which heartbeats are sent, when, and which leases count as lost: word by word."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock, call, patch

import pytest

from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.wire import Reply, Unreachable
from resonate_fleet.member.attempts import Attempt, Callee, Lease, Table
from resonate_fleet.member.leases import Heartbeats

LEASE = 6.0


class Script(BlockingWire):
    """Shows the tasks that a test has put there; a heartbeat takes `took` seconds."""

    def __init__(self) -> None:
        super().__init__("http://script")
        self.seconds = 100.0
        self.took = 0.0
        self.away = False
        self.closed = False
        self.tasks: dict[str, dict[str, Any]] = {}
        self.sent: list[tuple[str, Any]] = []

    def call(self, kind: str, data: Any, accept: tuple[int, ...] = ()) -> Reply:
        self.sent.append((kind, data))
        if kind == "task.heartbeat":
            self.seconds += self.took
        if self.away:
            raise Unreachable("http://script", "away")
        task = self.tasks.get(data.get("id"))
        if kind == "task.get" and task is None:
            assert 404 in accept
            return Reply(kind=kind, status=404, data=None)
        return Reply(kind=kind, status=200, data={"task": task})

    def close(self) -> None:
        self.closed = True


class Ward:
    def __init__(self) -> None:
        self.table = Table()
        self.wire = Script()
        self.lost: list[tuple[str, str]] = []
        self.failed: list[str] = []
        self.answered: list[float] = []
        self.heartbeats = Heartbeats(
            self.table, self.wire, "me", LEASE,
            lambda one, why: self.lost.append((one.task, why)),
            lambda error: self.failed.append(str(error)), self.heard, self.now,
        )  # fmt: skip

    def now(self) -> float:
        return self.wire.seconds

    def heard(self) -> None:
        self.answered.append(self.now())

    def hold(self, task: str, version: int = 1) -> Attempt:
        self.wire.tasks[task] = {"id": task, "state": "acquired", "version": version, "pid": "me"}
        attempt = Attempt(task, version, Callee("f", "f"), lease=Lease(self.now()))
        self.table.add(attempt)
        return attempt


@pytest.fixture
def ward() -> Ward:
    return Ward()


def test_a_heartbeat_names_the_leases_of_one_origin_and_looks_at_each(ward: Ward) -> None:
    for task, version in (("b", 1), ("a:1.2", 3), ("b.1", 2), ("a:1.3", 1)):
        ward.hold(task, version)
    ward.wire.seconds += 1.0
    assert ward.heartbeats.send()
    sent = [data for kind, data in ward.wire.sent if kind == "task.heartbeat"]
    assert [one["pid"] for one in sent] == ["me", "me", "me"]
    by_origin = [{(task["id"], task["version"]) for task in one["tasks"]} for one in sent]
    assert by_origin == [{("a:1.2", 3), ("a:1.3", 1)}, {("b", 1)}, {("b.1", 2)}]
    looks = [data["id"] for kind, data in ward.wire.sent if kind == "task.get"]
    assert sorted(looks) == ["a:1.2", "a:1.3", "b", "b.1"]
    assert (ward.lost, ward.failed, ward.answered) == ([], [], [101.0])


def test_a_lease_that_is_young_costs_no_heartbeat(ward: Ward) -> None:
    """The first comes within half of the lease, whenever it began."""
    ward.hold("a")
    ward.wire.seconds += 0.9
    ward.hold("b")
    assert ward.heartbeats.send()
    assert ward.wire.sent == []
    ward.wire.seconds += 0.1
    assert ward.heartbeats.send()
    assert [data["id"] for kind, data in ward.wire.sent if kind == "task.get"] == ["a"]
    assert ward.answered == [100.9, 101.0], "the process that stands by hears of both"
    ward.wire.seconds += ward.heartbeats.interval
    assert ward.heartbeats.send()
    assert ward.heartbeats.age() == 0.0


def test_a_lease_stands_since_its_heartbeat_was_sent(ward: Ward) -> None:
    ward.hold("a")
    ward.wire.seconds += 4.0
    assert ward.heartbeats.age() == 4.0
    ward.wire.took = 1.5
    assert ward.heartbeats.send()
    assert ward.heartbeats.age() == 1.5, "not since its answer"


def test_its_age_is_that_of_the_oldest(ward: Ward) -> None:
    ward.hold("a")
    ward.wire.seconds += 1.0
    ward.hold("b")
    assert ward.heartbeats.age() == 1.0


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ({"version": 2}, "taken"),
        ({"pid": "another"}, "gone"),
        ({"pid": None}, "gone"),
        ({"state": "pending"}, "lapsed"),
        ({"state": "halted"}, "halted"),
    ],
)
def test_a_lease_is_held_by_name_state_and_version(
    ward: Ward, shown: dict[str, Any], why: str
) -> None:
    ward.hold("a")
    ward.wire.seconds += 1.0
    ward.wire.tasks["a"] |= shown
    assert ward.heartbeats.send()
    assert ward.lost == [("a", why)]
    assert ward.heartbeats.age() == 1.0


def test_a_task_without_a_holder_and_one_that_is_unknown(ward: Ward) -> None:
    ward.hold("a")
    del ward.wire.tasks["a"]["pid"]
    ward.hold("b")
    del ward.wire.tasks["b"]
    ward.wire.seconds += 1.0
    assert ward.heartbeats.send()
    assert ward.lost == [("a", "gone"), ("b", "gone")]


def test_an_answer_without_a_task_is_none_and_said_once(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Mock()  # how logging is set up is other tests' matter
    monkeypatch.setattr("resonate_fleet.member.leases.log", said)
    ward.hold("a")
    ward.wire.seconds += 1.0
    for shown in ({}, {}, {"id": "a", "state": "acquired", "version": 1, "pid": "me"}, {}):
        ward.wire.tasks["a"] = shown
        ward.wire.seconds += 1.0
        assert ward.heartbeats.send() is bool(shown)
    assert ward.lost == []
    assert len(ward.failed) == 3
    (line, again) = said.warning.mock_calls
    assert line == again == call("heartbeats.unreadable", why=line.kwargs["why"])
    assert "otherwise than server v0.9.8" in line.kwargs["why"]


def test_what_has_ended_meanwhile_is_no_loss(ward: Ward) -> None:
    """Nor is one that is held again, under a later claim."""
    ended, again = ward.hold("ended"), ward.hold("again")
    held = ward.table.held

    def then_change() -> list[Attempt]:
        found = held()
        ward.table.finish(ended)
        ward.table.finish(again)
        ward.hold("again", 2).lease.stood -= 1.0
        ward.wire.tasks.pop("ended", None)
        return found

    ward.wire.seconds += 1.0
    with patch.object(ward.table, "held", then_change):
        assert ward.heartbeats.send()
    assert ward.lost == []
    assert ended.lease.stood == again.lease.stood


def test_silence_ends_a_lease_after_its_whole_length(ward: Ward) -> None:
    ward.hold("old")
    ward.wire.away = True
    ward.wire.seconds += 1.0
    ward.hold("young")
    ward.wire.seconds += LEASE - 1.25
    assert not ward.heartbeats.send()
    assert ward.lost == []
    ward.wire.seconds += 0.25
    assert not ward.heartbeats.send()
    assert ward.lost == [("old", "lapsed")]
    assert len(ward.failed) == 2
    assert "away" in ward.failed[0]
    assert ward.answered == []


def test_a_lease_that_ended_during_the_silence_is_no_loss(ward: Ward) -> None:
    one = ward.hold("a")
    ward.wire.away = True
    ward.wire.seconds += LEASE
    ward.failed = Forgets(lambda: ward.table.finish(one))
    assert not ward.heartbeats.send()
    assert ward.lost == []


class Forgets(list[str]):
    """Does something when it is told."""

    def __init__(self, do: Callable[[], object]) -> None:
        super().__init__()
        self._do = do

    def append(self, _: str) -> None:
        self._do()


def test_a_listener_need_not_listen_to_all(ward: Ward) -> None:
    heartbeats = Heartbeats(ward.table, ward.wire, "me", LEASE, lambda *_: None, now=ward.now)
    assert heartbeats.send()
    ward.hold("a")
    ward.wire.seconds += 1.0
    ward.wire.away = True
    assert not heartbeats.send()


def test_its_own_clock_is_the_monotonic_one(ward: Ward) -> None:
    heartbeats = Heartbeats(ward.table, ward.wire, "me", LEASE, lambda *_: None)
    assert 0 <= time.monotonic() - heartbeats.woke < 60


# The thread.


class Waits:
    """Stands in for the event that ends the thread: it waits in the script's time, and `most`."""

    def __init__(self, wire: Script, most: int) -> None:
        self.wire, self.most = wire, most
        self.waited: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waited.append(round(seconds, 6))
        self.wire.seconds += seconds
        return len(self.waited) > self.most

    def set(self) -> None: ...


def pauses(ward: Ward, lease: float = LEASE, most: int = 3) -> list[float]:
    """Let the thread send so often; return its pauses."""
    waits = Waits(ward.wire, most)
    heard = (lambda *_: None), (lambda _: None), ward.heard
    with patch.object(threading, "Event", lambda: waits):
        heartbeats = Heartbeats(ward.table, ward.wire, "me", lease, *heard, ward.now)
        heartbeats._thread.run()  # noqa: SLF001 - here instead of beside: no time passes by itself
    return waits.waited


def test_three_heartbeats_a_lease(ward: Ward) -> None:
    ward.hold("a")
    assert pauses(ward) == [2.0, 2.0, 2.0, 2.0]
    assert ward.answered == [102.0, 104.0, 106.0]
    assert ward.wire.closed


def test_what_a_heartbeat_took_is_no_pause(ward: Ward) -> None:
    ward.hold("a")
    ward.wire.took = 0.5
    assert pauses(ward, most=2) == [2.0, 1.5, 1.5]
    ward.wire.took = 5.0
    assert pauses(ward, most=2) == [2.0, 0.02, 0.02]


def test_a_heartbeat_that_failed_is_tried_again_soon(ward: Ward) -> None:
    ward.hold("a")
    ward.wire.away = True
    assert pauses(ward, most=2) == [2.0, 0.5, 0.5]
    assert pauses(ward, lease=0.9, most=2) == [0.3, 0.3, 0.3]


def test_a_defect_does_not_end_the_heartpauses(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect() -> None:
        raise ZeroDivisionError

    ward.heard = defect  # type: ignore[method-assign]  # a listener that fails
    said = Mock()  # how logging is set up is other tests' matter
    monkeypatch.setattr("resonate_fleet.member.leases.log", said)
    assert pauses(ward, most=1) == [2.0, 0.5]
    assert said.mock_calls == [call.exception("heartbeats.failed")]


@pytest.fixture
def sending(ward: Ward) -> Iterator[tuple[Heartbeats, threading.Event, list[threading.Thread]]]:
    """Heartbeats every ten milliseconds, and the threads that send them."""
    threads: list[threading.Thread] = []
    answered = threading.Event()

    def note() -> None:
        threads.append(threading.current_thread())
        answered.set()

    with Heartbeats(
        ward.table, ward.wire, "me", 0.03, lambda *_: None, answered=note
    ) as heartbeats:
        yield heartbeats, answered, threads


def test_a_thread_sends_until_the_end(
    ward: Ward, sending: tuple[Heartbeats, threading.Event, list[threading.Thread]]
) -> None:
    heartbeats, answered, threads = sending
    begun = heartbeats.woke

    def alive() -> list[bool]:
        return [heartbeats.alive]

    assert answered.wait(30)
    assert alive() == [True]
    assert heartbeats.woke > begun
    assert (threads[0].name, threads[0].daemon) == ("heartbeats", True)
    heartbeats.__exit__()
    threads[0].join(30)
    assert alive() == [False]
    assert ward.wire.closed

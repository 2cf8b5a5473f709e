"""A lease ends in time whatever a heartbeat's request waits for."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock, call, patch

import pytest

from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.wire import Reply
from resonate_fleet.member.attempts import Attempt, Callee, Table
from resonate_fleet.member.leases import CHECKS, Heartbeats, LapseWatch

LEASE = 6.0


class Hanging(BlockingWire):
    """Does something in the middle of each request."""

    def __init__(self) -> None:
        super().__init__("http://script", timeout=2.0)
        self.meanwhile: Callable[[], object] = lambda: None

    def call(self, kind: str, _: Any, accept: tuple[int, ...] = ()) -> Reply:
        assert accept in ((), (404,))
        self.meanwhile()
        task = {"id": "a", "state": "acquired", "version": 1, "pid": "me"}
        return Reply(kind=kind, status=200, data={"task": task})


class Ward:
    def __init__(self) -> None:
        self.table, self.wire = Table(), Hanging()
        self.seconds = 100.0
        self.lost: list[tuple[str, str]] = []

        def lost(one: Attempt, why: str) -> None:
            self.lost.append((one.task, why))

        self.heartbeats = Heartbeats(
            self.table, self.wire, "me", LEASE, lost, now=lambda: self.seconds
        )
        self.watch = LapseWatch(self.heartbeats)
        attempt = Attempt("a", 1, Callee("f", "f"))
        attempt.lease.stood = self.seconds - 1.0  # old enough for a heartbeat
        self.table.add(attempt)

    def check(self, times: int) -> None:
        for _ in range(times):
            self.watch.check()


@pytest.fixture
def ward() -> Ward:
    return Ward()


def test_a_request_that_hangs_keeps_no_lease_beyond_its_length(ward: Ward) -> None:
    def meanwhile() -> None:
        ward.seconds += LEASE - 1.1
        ward.check(CHECKS + 2)
        assert ward.lost == [], "it still stands"
        ward.seconds += 0.1
        ward.check(1)
        assert ward.lost == [("a", "lapsed")]
        ward.table.held()[0].lease.stood = ward.seconds
        ward.wire.meanwhile = lambda: None

    ward.wire.meanwhile = meanwhile
    assert ward.heartbeats.send()
    ward.seconds += LEASE
    ward.check(CHECKS + 2)
    assert ward.lost == [("a", "lapsed")], "no request is on its way: the heartbeats ask first"


def test_a_process_that_was_stopped_hears_the_answer_first(ward: Ward) -> None:
    """Between two checks it was stopped for longer than the lease."""

    def meanwhile() -> None:
        ward.check(2)
        ward.seconds += 3 * LEASE
        ward.check(CHECKS - 2)

    ward.wire.meanwhile = meanwhile
    assert ward.heartbeats.send()
    assert ward.lost == []


def test_requests_that_follow_each_other_hang_none(ward: Ward) -> None:
    ward.wire.meanwhile = lambda: ward.check(CHECKS + 1)
    ward.seconds += LEASE
    for _ in range(3):
        assert ward.heartbeats.send()
    assert ward.lost == []


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A name look-up hangs until the event is set."""
    end = threading.Event()

    def look_up(*_: object, **__: object) -> object:
        end.wait()
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield end
    end.set()


def test_a_name_look_up_that_hangs(hung: threading.Event) -> None:
    table, over = Table(), threading.Event()
    lost: list[tuple[str, str, bool]] = []

    def note(attempt: Attempt, why: str) -> None:
        lost.append((attempt.task, why, time.monotonic() - attempt.lease.stood >= 0.6))
        table.lose(attempt)
        over.set()

    table.add(Attempt("a", 1, Callee("f", "f")))
    heartbeats = Heartbeats(table, BlockingWire("http://server:1", timeout=0.2), "me", 0.6, note)
    with heartbeats, LapseWatch(heartbeats):
        assert over.wait(60)
        assert heartbeats.request is not None, "it hangs still"
        hung.set()
    assert lost == [("a", "lapsed", True)]


def test_a_defect_does_not_end_the_checks(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    again = threading.Event()
    checks, threads = list[int](), list[str]()

    def check() -> None:
        checks.append(1)
        threads.append(threading.current_thread().name)
        if len(checks) > 1:
            again.set()
            return
        raise ZeroDivisionError

    ward.wire.timeout = 0.04
    ward.watch.check = check  # type: ignore[method-assign]  # a defect
    said = Mock()  # how logging is set up is other tests' matter
    monkeypatch.setattr("resonate_fleet.member.leases.log", said)
    with ward.watch:
        assert again.wait(60)
    assert said.mock_calls == [call.exception("lapses.failed")]
    assert set(threads) == {"lapses"}


def test_it_checks_some_times_while_a_request_may_take(ward: Ward) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return len(waited) > 2

    end = Mock(wait=wait)
    with patch.object(threading, "Event", lambda: end):
        watch = LapseWatch(ward.heartbeats)
    watch._thread.run()  # noqa: SLF001 - here instead of beside: no time passes by itself
    assert waited == [ward.wire.timeout / CHECKS] * 3

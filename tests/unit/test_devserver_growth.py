"""A job costs the same in a large store as in a small one, counted in SQLite's own steps."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from resonate_fleet.contract.ids import new_id
from resonate_fleet.server.state import State
from resonate_fleet.server.store import Store

NOW = 1_000_000_000_000
TARGET = {"resonate:target": "poll://any@g"}


class Steps:
    """Counts what SQLite's virtual machine does, in hundreds of instructions."""

    def __init__(self) -> None:
        self.hundreds = 0

    def connect(self, *given: Any, **named: Any) -> sqlite3.Connection:
        connection = sqlite3.Connection(*given, **named)
        connection.set_progress_handler(self._count, 100)
        return connection

    def _count(self) -> int:
        self.hundreds += 1
        return 0


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    counted = Steps()
    monkeypatch.setattr(sqlite3, "connect", counted.connect)
    return counted


@pytest.fixture
def state(steps: Steps) -> Iterator[State]:
    with closing(Store()) as store:
        yield State(store)


def one_job(state: State) -> None:
    """Everything that happens about a job while twenty others wait."""
    job = new_id()
    state.apply(NOW, "promise.create", {"id": job, "timeoutAt": 2 * NOW, "tags": TARGET})
    pending = state.apply(NOW, "task.search", {"state": "pending", "limit": 20})
    oldest = pending.data["tasks"][0]["id"]
    waiting = state.apply(NOW, "promise.search", {"state": "pending", "tags": TARGET, "limit": 20})
    assert len(waiting.data["promises"]) == 20
    state.apply(NOW, "task.acquire", {"id": oldest, "version": 0, "pid": "p", "ttl": 60_000})
    state.apply(NOW, "task.heartbeat", {"pid": "p", "tasks": [{"id": oldest, "version": 1}]})
    settled = {"id": oldest, "state": "resolved", "value": {}}
    action = {"kind": "promise.settle", "head": {}, "data": settled}
    done = state.apply(NOW, "task.fulfill", {"id": oldest, "version": 1, "action": action})
    assert done.status == 200
    state.take_outgoing(100)
    state.tick(NOW)


def hundred_jobs(state: State, steps: Steps) -> int:
    before = steps.hundreds
    for _ in range(100):
        one_job(state)
    return steps.hundreds - before


def test_a_job_costs_no_more_after_a_thousand(state: State, steps: Steps) -> None:
    for _ in range(20):
        state.apply(NOW, "promise.create", {"id": new_id(), "timeoutAt": 2 * NOW, "tags": TARGET})
    first = hundred_jobs(state, steps)
    for _ in range(8):
        hundred_jobs(state, steps)
    last = hundred_jobs(state, steps)
    assert first > 100, "the count is alive"
    assert last < first * 1.2, f"{first} and then {last} hundred instructions"

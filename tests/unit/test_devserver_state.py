"""What the recordings show seldom or, as nothing is delivered in them, never."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from resonate_fleet.server.state import State
from resonate_fleet.server.store import Store

NOW = 1_000_000_000_000
RETRY = 30_000
TARGET = {"resonate:target": "poll://any@g"}


@pytest.fixture
def state() -> Iterator[State]:
    with closing(Store(retry=RETRY)) as store:
        yield State(store)


def ask(state: State, kind: str, now: int = NOW, /, **data: Any) -> Any:
    """Send a request that must succeed, and return what came back."""
    reply = state.apply(now, kind, data)
    assert reply.status == 200, reply
    return reply.data


def create(state: State, job: str = "job", **change: Any) -> None:
    ask(state, "promise.create", **{"id": job, "timeoutAt": 2 * NOW, "tags": TARGET, **change})


def acquire(state: State, job: str = "job", version: int = 0, ttl: int = 60_000) -> None:
    ask(state, "task.acquire", id=job, version=version, pid="p", ttl=ttl)


def hints(state: State, limit: int = 100) -> list[tuple[str, int]]:
    """Take the queued hints: id and version of each."""
    tasks = [message.data["task"] for message in state.take_outgoing(limit)]
    return [(task["id"], task["version"]) for task in tasks]


def test_an_unclaimed_task_is_offered_again_after_the_retry_time_and_not_before(
    state: State,
) -> None:
    create(state)
    assert hints(state) == [("job", 0)]
    for offered in (NOW, NOW + RETRY):
        state.tick(offered + RETRY - 1)
        assert hints(state) == []
        state.tick(offered + RETRY)
        assert hints(state) == [("job", 0)]


def test_a_claimed_task_is_not_offered_while_its_lease_lasts(state: State) -> None:
    create(state)
    assert hints(state) == [("job", 0)]
    acquire(state, ttl=3 * RETRY)
    state.tick(NOW + 3 * RETRY - 1)
    assert hints(state) == []


def lapse(state: State) -> None:
    state.tick(NOW + 60_000)


def release(state: State) -> None:
    ask(state, "task.release", id="job", version=1)


def go_on_after_a_halt(state: State) -> None:
    ask(state, "task.halt", id="job")
    state.tick(NOW + 10 * RETRY)
    assert hints(state) == [], "a halted task is offered to nobody"
    ask(state, "task.continue", id="job")


def sleep_on(state: State, other: str, now: int = NOW) -> int:
    """Have the job await another promise, and return the status of that."""
    data = {"awaited": other, "awaiter": "job"}
    action = {"kind": "promise.register_callback", "head": {}, "data": data}
    asked = {"id": "job", "version": 1, "actions": [action]}
    return state.apply(now, "task.suspend", asked).status


def see_what_it_slept_on(state: State) -> None:
    create(state, "other", tags={})
    assert sleep_on(state, "other") == 200
    state.tick(NOW + 10 * RETRY)
    assert hints(state) == [], "a sleeping task is offered to nobody"
    ask(state, "promise.settle", id="other", state="resolved")


@pytest.mark.parametrize("back", [lapse, release, go_on_after_a_halt, see_what_it_slept_on])
def test_whatever_makes_a_task_pending_queues_its_hint_at_once(
    state: State, back: Callable[[State], None]
) -> None:
    create(state)
    acquire(state)
    hints(state)
    back(state)
    assert hints(state) == [("job", 1)]


def test_a_batch_is_limited_taken_in_id_order_and_taken_once(state: State) -> None:
    for job in ("c", "a", "b"):
        create(state, job)
    assert hints(state, limit=2) == [("a", 0), ("b", 0)]
    assert hints(state, limit=2) == [("c", 0)]
    assert hints(state, limit=2) == []


def test_a_newer_hint_of_a_task_replaces_the_older(state: State) -> None:
    create(state)
    acquire(state)
    release(state)
    assert hints(state) == [("job", 1)]


def test_each_listener_is_told_once_with_the_result(state: State) -> None:
    create(state, tags={})
    for address in ("poll://uni@c/1", "poll://uni@c/2", "poll://uni@c/1"):
        ask(state, "promise.register_listener", awaited="job", address=address)
    ask(state, "promise.settle", id="job", state="rejected", value={"data": "MQ=="})
    told = state.take_outgoing(100)
    assert [message.address for message in told] == ["poll://uni@c/1", "poll://uni@c/2"]
    assert {message.data["promise"]["state"] for message in told} == {"rejected"}
    state.tick(NOW + 10 * RETRY)
    assert state.take_outgoing(100) == []


def task(state: State) -> dict[str, Any]:
    found: dict[str, Any] = ask(state, "task.get", id="job")["task"]
    return found


def test_a_running_task_is_told_of_what_settles_and_goes_on(state: State) -> None:
    create(state)
    acquire(state)
    for other in ("first", "second"):
        create(state, other, tags={})
    ask(state, "promise.register_callback", awaited="first", awaiter="job")
    ask(state, "promise.settle", id="first", state="resolved")
    assert (task(state)["state"], task(state)["resumes"]) == ("acquired", 1)
    assert sleep_on(state, "second") == 200
    assert (task(state)["state"], task(state)["resumes"]) == ("suspended", 0), "known by now"


def test_a_waiting_task_is_told_too(state: State) -> None:
    create(state)
    create(state, "other", tags={})
    ask(state, "promise.settle", id="other", state="resolved")
    ask(state, "promise.register_callback", awaited="other", awaiter="job")
    assert (task(state)["state"], task(state)["resumes"]) == ("pending", 1)


def test_a_task_does_not_sleep_on_a_promise_whose_time_is_up(state: State) -> None:
    create(state)
    acquire(state)
    create(state, "other", tags={}, timeoutAt=NOW + 10)
    assert sleep_on(state, "other", NOW + 10) == 300
    assert task(state)["state"] == "acquired"


def test_a_claim_brings_the_other_promises_of_its_branch_along(state: State) -> None:
    for job, branch in (("job", "a"), ("job.2", "a"), ("job.1", "a"), ("else", "b")):
        create(state, job, tags=TARGET | {"resonate:branch": branch})
    claim = {"id": "job", "version": 0, "pid": "p", "ttl": 1}
    brought = ask(state, "task.acquire", **claim)["preload"]
    assert [promise["id"] for promise in brought] == ["job.1", "job.2"]


def test_a_promise_created_too_late_is_born_settled_at_its_time(state: State) -> None:
    create(state, timeoutAt=NOW - 5)
    promise = ask(state, "promise.get", id="job")["promise"]
    assert (promise["createdAt"], promise["settledAt"]) == (NOW - 5, NOW - 5)
    assert promise["state"] == "rejected_timedout"
    assert task(state) == {"id": "job", "state": "fulfilled", "version": 0, "resumes": 0}
    assert hints(state) == []


@pytest.mark.parametrize("look", ["a request", "a tick"])
@pytest.mark.parametrize(("late", "state_then"), [(-1, "pending"), (0, "rejected_timedout")])
def test_a_promise_runs_out_at_its_very_millisecond(
    state: State, look: str, late: int, state_then: str
) -> None:
    create(state, timeoutAt=NOW + 500)
    if look == "a tick":
        state.tick(NOW + 500 + late)
    else:
        ask(state, "promise.get", NOW + 500 + late, id="job")
    (found,) = ask(state, "promise.search")["promises"]  # a search lets nothing run out
    assert found["state"] == state_then
    assert found.get("settledAt") == (None if late else NOW + 500)


def test_a_heartbeat_of_another_member_or_version_extends_nothing(state: State) -> None:
    create(state)
    acquire(state, ttl=1_000)
    for pid, version in (("q", 1), ("p", 0)):
        beat = [{"id": "job", "version": version}]
        ask(state, "task.heartbeat", NOW + 900, pid=pid, tasks=beat)
    state.tick(NOW + 1_000)
    assert ask(state, "task.get", id="job")["task"]["state"] == "pending"


def test_a_heartbeat_of_the_holder_extends_by_the_lease(state: State) -> None:
    create(state)
    acquire(state, ttl=1_000)
    ask(state, "task.heartbeat", NOW + 900, pid="p", tasks=[{"id": "job", "version": 1}])
    state.tick(NOW + 1_899)
    assert ask(state, "task.get", id="job")["task"]["state"] == "acquired"
    state.tick(NOW + 1_900)
    assert ask(state, "task.get", id="job")["task"]["state"] == "pending"


def test_a_store_opened_again_has_promises_leases_and_queue(tmp_path: Path) -> None:
    path = str(tmp_path / "kept.db")
    with closing(Store(path, RETRY)) as store:
        before = State(store)
        create(before, "held")
        acquire(before, "held")
        hints(before)
        create(before, "queued")
    with closing(Store(path, RETRY)) as store:
        after = State(store)
        assert ask(after, "task.get", id="held")["task"]["pid"] == "p"
        assert hints(after) == [("queued", 0)]
        after.tick(NOW + 60_000)
        assert ("held", 1) in hints(after), "its lease goes on as it was"


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE promises (something)")
        theirs.commit()
    before = path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError, match="another program"):
        Store(str(path))
    assert path.read_bytes() == before

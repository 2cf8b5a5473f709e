"""Random sequences: what must hold after every step, and the real server as the judge."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from resonate_fleet.server.state import State
from resonate_fleet.server.store import Store
from tests.support.judge import Judge
from tests.support.processes import Processes
from tests.support.steps import START, Step, comparable, queue_and_tasks, sequences

type Records = dict[str, dict[str, Any]]


@settings(max_examples=60, deadline=None)
@given(sequences())
def test_a_promise_has_one_result_and_a_task_one_holder(steps: list[Step]) -> None:
    with closing(Store()) as store:
        state = State(store)
        now, promises, tasks = START, promises_of(state), tasks_of(state)
        for step in steps:
            now += step.pause
            claims = take(state, now, step)
            after = promises_of(state), tasks_of(state)
            check_promises(promises, after[0])
            check_tasks(tasks, after[1], claims)
            check_together(*after)
            promises, tasks = after


def take(state: State, now: int, step: Step) -> set[tuple[str, str]]:
    """Do one step; return who was granted which task."""
    if step.what == "tick":
        state.tick(now)
        return set()
    kind, data = step.request(state, now)
    reply = state.apply(now, kind, data)
    if kind not in ("task.acquire", "task.create") or reply.status != 200:
        return set()
    task = reply.data["task"]
    return {(task["id"], task["pid"])} if task["state"] == "acquired" else set()


def check_promises(before: Records, after: Records) -> None:
    assert before.keys() <= after.keys(), "no promise is ever lost"
    for name, promise in before.items():
        if promise["state"] != "pending":
            assert after[name] == promise, "a settled promise stays as it is"


def check_tasks(before: Records, after: Records, claims: set[tuple[str, str]]) -> None:
    claimed = {task for task, _ in claims}
    for name, task in after.items():
        last = before.get(name, {"version": 0, "state": "pending"})
        grown = task["version"] - last["version"]
        assert grown == (1 if name in claimed else 0), "each claim adds one, nothing else does"
        if task["state"] == "acquired":
            granted = (name, task["pid"]) in claims
            assert granted or last.get("pid") == task["pid"], "the holder changed without a claim"
        else:
            assert "pid" not in task
        if last["state"] == "fulfilled":
            assert task == last, "a fulfilled task stays as it is"


def check_together(promises: Records, tasks: Records) -> None:
    for name, task in tasks.items():
        settled = promises[name]["state"] != "pending"
        assert settled == (task["state"] == "fulfilled"), f"{promises[name]} with {task}"


def promises_of(state: State) -> Records:
    page = state.apply(0, "promise.search", {"limit": 1000}).data["promises"]
    return {promise["id"]: promise for promise in page}


def tasks_of(state: State) -> Records:
    page = state.apply(0, "task.search", {"limit": 1000}).data["tasks"]
    return {task["id"]: task for task in page}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with Processes(tmp_path_factory.mktemp("real")) as processes, Judge.on(processes) as judge:
        yield judge


@pytest.mark.real
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=sequences())
def test_random_sequences_get_the_real_servers_answers(real: Judge, steps: list[Step]) -> None:
    assert real.call(0, "debug.reset", {})[0] == 200
    with closing(Store()) as store:
        state = State(store)
        now = START
        for step in steps:
            now += step.pause
            if step.what == "tick":
                state.tick(now)
            else:
                kind, data = step.request(state, now)
                status, expected = real.call(now, kind, data)
                reply = state.apply(now, kind, data)
                assert reply.status == status, (kind, data, expected)
                assert comparable(reply.data) == comparable(expected), (kind, data)
            if step.what == "tick" or step is steps[-1]:
                state.tick(now)
                assert queue_and_tasks(state) == real.tick(now)

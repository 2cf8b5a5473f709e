"""Every recorded sequence of requests gets the answers that the real server gave."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from resonate_fleet.server.state import State
from resonate_fleet.server.store import Store
from tests.support.steps import comparable, queue_and_tasks

HERE = Path(__file__).parent
#: Random sequences of promises and tasks, and those with schedules (`record_schedules.py`).
RECORDED = (HERE / "exchanges", HERE / "exchanges-schedules")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "recording" not in metafunc.fixturenames:
        return
    given = metafunc.config.getoption("--exchanges")
    folders = (Path(given),) if given else RECORDED
    files = sorted(file for folder in folders for file in folder.glob("*.jsonl"))
    if not files:
        raise pytest.UsageError(f"--exchanges {given}: no *.jsonl there")
    metafunc.parametrize("recording", files, ids=[file.stem for file in files])


@pytest.fixture
def state() -> Iterator[State]:
    with closing(Store()) as store:
        yield State(store)


def test_replies_and_ticks_are_the_real_servers(state: State, recording: Path) -> None:
    steps = [json.loads(line) for line in recording.read_text(encoding="utf-8").splitlines()]
    assert steps, "an empty recording proves nothing"
    for number, step in enumerate(steps, start=1):
        where = f"{recording.name}:{number} {step.get('send', 'tick')}"
        if "tick" in step:
            state.tick(step["at"])
            expected = {"messages": step["messages"], "tasks": step["tasks"]}
            assert queue_and_tasks(state) == expected, where
        else:
            reply = state.apply(step["at"], step["send"]["kind"], step["send"]["data"])
            assert reply.status == step["status"], f"{where}: {reply.data}"
            assert comparable(reply.data) == comparable(step["data"]), where

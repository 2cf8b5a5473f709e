"""Every recorded sequence of requests gets the answers that the real server gave."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from devserver.state import State
from devserver.store import Store

RECORDED = Path(__file__).parent / "exchanges"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = Path(metafunc.config.getoption("--exchanges") or RECORDED)
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise pytest.UsageError(f"--exchanges {folder}: no *.jsonl there")
    if "recording" in metafunc.fixturenames:
        metafunc.parametrize("recording", files, ids=[file.stem for file in files])


@pytest.fixture
def state() -> Iterator[State]:
    with closing(Store()) as store:
        yield State(store, retry=30_000)


def test_replies_and_ticks_are_the_real_servers(state: State, recording: Path) -> None:
    steps = [json.loads(line) for line in recording.read_text(encoding="utf-8").splitlines()]
    assert steps, "an empty recording proves nothing"
    for number, step in enumerate(steps, start=1):
        where = f"{recording.name}:{number} {step.get('send', 'tick')}"
        if "tick" in step:
            state.tick(step["at"])
            assert seen(state) == {"messages": step["messages"], "tasks": step["tasks"]}, where
        else:
            reply = state.apply(step["at"], step["send"]["kind"], step["send"]["data"])
            assert reply.status == step["status"], f"{where}: {reply.data}"
            assert comparable(reply.data) == comparable(step["data"]), where


def seen(state: State) -> dict[str, Any]:
    """What a tick of the recordings shows: everything queued, every task."""
    messages = [
        {"address": address, "message": {"kind": kind, "head": {}, "data": data}}
        for address, kind, data in state.outgoing(1_000_000)
    ]
    tasks: list[Any] = []
    cursor: str | None = None
    while True:
        page = state.apply(0, "task.search", {"limit": 1000, "cursor": cursor}).data
        tasks += page["tasks"]
        cursor = page.get("cursor")
        if cursor is None:
            return {"messages": messages, "tasks": tasks}


def comparable(data: Any) -> Any:
    """Leave out the words of errors and the recorder's own correlation ids."""
    if isinstance(data, str):
        return "(an error)"
    if "action" in data:
        inner = data["action"]
        head = {name: value for name, value in inner["head"].items() if name != "corrId"}
        return data | {"action": inner | {"head": head, "data": comparable(inner["data"])}}
    return data

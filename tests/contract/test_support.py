"""The helpers of the tests themselves: a wait that fails says what it waited for."""

import asyncio
from pathlib import Path

import pytest

from tests.support.processes import Processes, clean_env
from tests.support.servers import Server, ServerKind
from tests.support.waiting import wait_until, wait_until_async


def test_a_wait_returns_the_first_true_value_and_names_what_never_came() -> None:
    values = iter([0, None, "there"])
    assert wait_until(lambda: next(values), 5, "something") == "there"
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the moon \(last seen: 0\)"):
        wait_until(lambda: 0, 0.05, "the moon")


async def test_an_async_wait_leaves_the_loop_free() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(tick())
    await wait_until_async(lambda: ticks > 10, 5, "ticks")
    task.cancel()


def test_settings_of_the_shell_do_not_reach_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_SLOTS", "99")
    assert "WORKER_SLOTS" not in clean_env()
    assert clean_env({"WORKER_SLOTS": "2"})["WORKER_SLOTS"] == "2"


@pytest.mark.system
def test_a_durable_server_keeps_its_promises_over_kill_and_restart(
    server_kind: ServerKind, processes: Processes, tmp_path: Path
) -> None:
    server = Server(server_kind, processes, store=tmp_path / "server.db")
    url = server.url
    status, _ = server.call("promise.create", id="kept", timeoutAt=2**52, param={}, tags={})
    assert status == 200
    server.restart()
    assert server.url == url
    promise = server.promise("kept")
    assert promise is not None
    assert promise["state"] == "pending"

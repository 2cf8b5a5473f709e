"""The embedded server inside the test's own event loop: the switches that tests need."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import pytest

from resonate_fleet.contract.settings import load
from resonate_fleet.contract.wire import Refused, Wire
from resonate_fleet.server.server import Server
from resonate_fleet.server.settings import DevServerSettings
from tests.support.pages import value
from tests.support.waiting import wait_until_async

LATER = 99_999_999_999_999
TARGET = {"resonate:target": "poll://any@g"}


def on_free_ports(env: Mapping[str, str] | None = None) -> Server:
    """Return a server in memory, on free ports of this machine's own interface."""
    ports = {
        "RESONATE_SERVER__HOST": "127.0.0.1",
        "RESONATE_SERVER__BIND": "127.0.0.1",
        "RESONATE_SERVER__PORT": "0",
        "RESONATE_OBSERVABILITY__METRICS_PORT": "0",
    }
    return Server(load(DevServerSettings, ports | dict(env or {})))


async def refused(wire: Wire, kind: str, **data: Any) -> int:
    """Return the status of a request that must be refused."""
    with pytest.raises(Refused) as caught:
        await wire.call(kind, data)
    return caught.value.reply.status


async def test_two_servers_know_nothing_of_each_other() -> None:
    async with (
        on_free_ports() as first,
        on_free_ports() as second,
        Wire(first.url) as here,
        Wire(second.url) as there,
    ):
        await here.create_promise("job", LATER, None, TARGET)
        assert await here.promise("job") is not None
        assert await there.promise("job") is None


async def test_searches_may_be_forbidden_as_for_a_token_limited_to_a_prefix() -> None:
    async with (
        on_free_ports({"DEVSERVER_FORBID_SEARCH": "true"}) as server,
        Wire(server.url) as wire,
    ):
        assert await refused(wire, "task.search", state="pending") == 403
        assert await refused(wire, "promise.search") == 403
        assert (await wire.create_promise("job", LATER, None, TARGET)).state == "pending"


async def test_heartbeats_may_be_as_strict_as_on_the_main_branch() -> None:
    beats = [{"id": name, "version": 1} for name in ("a.1", "a.2", "b")]
    async with (
        on_free_ports({"DEVSERVER_STRICT_ORIGIN": "true"}) as server,
        Wire(server.url) as wire,
    ):
        assert (await wire.call("task.heartbeat", {"pid": "p", "tasks": beats[:2]})).ok
        assert await refused(wire, "task.heartbeat", pid="p", tasks=beats) == 400
        assert await refused(wire, "task.heartbeat", pid="p", tasks=[]) == 400
    async with on_free_ports() as server, Wire(server.url) as wire:
        assert (await wire.call("task.heartbeat", {"pid": "p", "tasks": beats})).ok


async def test_a_schedule_runs_and_is_counted() -> None:
    env = {"RESONATE_TIMEOUTS__POLL_INTERVAL": "10"}
    schedule = {
        "id": "tick",
        "cron": "* * * * * *",
        "promiseId": "{{.id}}-{{.timestamp}}",
        "promiseTimeout": 60_000,
        "promiseTags": TARGET,
    }
    async with on_free_ports(env) as server, Wire(server.url) as wire:
        made = (await wire.call("schedule.create", schedule)).data["schedule"]
        run = f"tick-{made['nextRunAt']}"

        def ran() -> bool:
            return server.state.apply(server.now(), "task.get", {"id": run}).status == 200

        await wait_until_async(ran, 5, "the schedule has created its job")
        assert value(server.exporter.page("").body.decode(), "resonate_schedule_promises_total") > 0


async def test_a_lapsed_lease_is_noticed_and_the_task_offered_again() -> None:
    env = {"RESONATE_TIMEOUTS__POLL_INTERVAL": "10"}
    async with on_free_ports(env) as server, Wire(server.url) as wire:
        await wire.create_promise("job", LATER, None, TARGET)
        await wire.call("task.acquire", {"id": "job", "version": 0, "pid": "p", "ttl": 50})

        def pending() -> bool:
            found = server.state.apply(server.now(), "task.search", {"state": "pending"})
            tasks: list[Any] = found.data["tasks"]
            return tasks == [{"id": "job", "state": "pending", "version": 1, "resumes": 0}]

        await wait_until_async(pending, 5, "the lease has lapsed")


async def test_a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[sqlite3.Connection] = []

    def connect(*given: Any, **named: Any) -> sqlite3.Connection:
        opened.append(sqlite3.Connection(*given, **named))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", connect)
    large = "x" * 100_000
    async with on_free_ports() as server, Wire(server.url) as wire:
        await wire.create_promise("before", LATER, None, TARGET)
        (pages,) = opened[0].execute("PRAGMA page_count").fetchone()
        opened[0].execute(f"PRAGMA max_page_count = {pages + 2}")
        asked = {"id": "large", "timeoutAt": LATER, "param": {"data": large}}
        assert await refused(wire, "promise.create", **asked) == 500
        assert await wire.promise("before") is not None
        assert await wire.promise("large") is None
        opened[0].execute(f"PRAGMA max_page_count = {pages + 1000}")
        assert (await wire.call("promise.create", asked)).ok

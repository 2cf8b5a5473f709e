"""The embedded server as a process: its start, its end, what its store keeps, its pages."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from contract import exits
from devserver.metrics import INSTRUMENTS
from tests.support.processes import Processes, run_room
from tests.support.servers import Server
from tests.support.sse import listening

LATER = 99_999_999_999_999
TARGET = {"resonate:target": "poll://any@g"}


def create(server: Server, job: str) -> int:
    return server.call("promise.create", id=job, timeoutAt=LATER, tags=TARGET)[0]


def embedded(processes: Processes, **env: str) -> Server:
    return Server("embedded", processes, env=env)


def test_on_port_0_it_says_where_it_is(processes: Processes) -> None:
    env = {"RESONATE_SERVER__PORT": "0", "RESONATE_OBSERVABILITY__METRICS_PORT": "0"}
    ready = processes.room("devserver", "free", env).line("server.ready")
    ports = {ready[name].split(":")[2].partition("/")[0] for name in ("url", "metrics")}
    assert len(ports) == 2
    assert "0" not in ports


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_streams_and_process_in_order(
    processes: Processes, number: signal.Signals
) -> None:
    server = embedded(processes)
    assert server.process is not None
    async with listening(server.url, "g", "m") as stream:
        began = time.monotonic()
        server.process.send(number)
        assert await stream.ended()
        assert time.monotonic() - began < 2
    assert await asyncio.to_thread(server.process.wait, 5) == exits.OK
    assert server.process.lines("server.stopped")


def test_a_killed_server_has_lost_nothing_that_it_confirmed(
    processes: Processes, tmp_path: Path
) -> None:
    server = Server("embedded", processes, store=tmp_path / "kept.db")
    jobs = [f"job-{number:03}" for number in range(100)]
    assert [create(server, job) for job in jobs] == [200] * 100
    lease = {"version": 0, "pid": "p", "ttl": 60_000}
    assert server.call("task.acquire", id="job-000", **lease)[0] == 200
    assert server.call("task.acquire", id="job-001", **lease)[0] == 200
    result = {"id": "job-001", "state": "resolved", "value": {"data": "MQ=="}}
    action = {"kind": "promise.settle", "head": {}, "data": result}
    assert server.call("task.fulfill", id="job-001", version=1, action=action)[0] == 200

    server.restart()

    states = {job: server.task(job) for job in jobs}
    assert states["job-000"] == {
        "id": "job-000", "state": "acquired", "version": 1, "resumes": 0, "pid": "p", "ttl": 60_000,
    }  # fmt: skip
    assert server.result("job-001") == 1
    assert {(states[job] or {}).get("state") for job in jobs[2:]} == {"pending"}
    assert len(server.tasks("pending")) == 98


def test_killed_amid_writes_it_has_what_it_confirmed(processes: Processes, tmp_path: Path) -> None:
    server = Server("embedded", processes, store=tmp_path / "kept.db")
    confirmed: list[str] = []
    for number in range(300):
        if number == 250:
            assert server.process is not None
            server.process.send(signal.SIGKILL)
        try:
            if create(server, f"job-{number:03}") == 200:
                confirmed.append(f"job-{number:03}")
        except OSError:
            break
    assert 250 <= len(confirmed) < 300, "the kill must come between two writes"
    server.restart()
    assert [job for job in confirmed if server.promise(job) is None] == []


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"no database at all", "not a database"), (None, "unable to open")],
    ids=["garbage", "no folder"],
)
def test_a_store_that_cannot_be_used_is_one_line(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    file = tmp_path / "absent" / "kept.db" if content is None else tmp_path / "kept.db"
    if content is not None:
        file.write_bytes(content)
    env = {"RESONATE_SERVER__PORT": "0", "RESONATE_OBSERVABILITY__METRICS_PORT": "0"}
    ended = run_room("devserver", "--store", str(file), env=env)
    assert ended.returncode == exits.FAILED
    assert len(ended.stderr.splitlines()) == 1
    assert why in ended.stderr
    assert "Traceback" not in ended.stderr


def test_wrong_settings_are_refused_all_at_once() -> None:
    env = {
        "RESONATE_SERVER__PORT": "eighty",
        "RESONATE_MESSAGES__BATCH_SIZE": "0",
        "RESONATE_STORAGE__TYPE": "postgres",
        "DEVSERVER_STRICT_ORIGIN": "yes",
        "RESONATE_AUTH__PUBLICKEY": "/key.pem",
    }
    ended = run_room("devserver", env=env)
    assert ended.returncode == exits.USAGE
    assert sorted(line.split()[0] for line in ended.stderr.splitlines()) == sorted(env)


def test_settings_of_the_real_server_that_mean_nothing_here_are_named(processes: Processes) -> None:
    server = embedded(processes, RESONATE_STORAGE__POSTGRES__URL="postgres://x")
    assert server.process is not None
    assert server.process.line("settings.unused")["names"] == ["RESONATE_STORAGE__POSTGRES__URL"]


def test_searches_may_be_forbidden_as_for_a_token_limited_to_a_prefix(processes: Processes) -> None:
    server = embedded(processes, DEVSERVER_FORBID_SEARCH="true")
    assert server.call("task.search", state="pending")[0] == 403
    assert server.call("promise.search")[0] == 403
    assert create(server, "job") == 200


def test_heartbeats_may_be_as_strict_as_on_the_main_branch(processes: Processes) -> None:
    server = embedded(processes, DEVSERVER_STRICT_ORIGIN="true")
    beats = [{"id": name, "version": 1} for name in ("a.1", "a.2", "b")]
    assert server.call("task.heartbeat", pid="p", tasks=beats[:2])[0] == 200
    assert server.call("task.heartbeat", pid="p", tasks=beats)[0] == 400
    assert server.call("task.heartbeat", pid="p", tasks=[])[0] == 400


def test_a_lapsed_lease_is_noticed_and_the_task_offered_again(processes: Processes) -> None:
    server = embedded(processes, RESONATE_TIMEOUTS__POLL_INTERVAL="20")
    create(server, "job")
    lease = {"version": 0, "pid": "p", "ttl": 100}
    assert server.call("task.acquire", id="job", **lease)[0] == 200
    assert_soon(server, "job", {"id": "job", "state": "pending", "version": 1, "resumes": 0})


def assert_soon(server: Server, job: str, expected: dict[str, Any]) -> None:
    end = time.monotonic() + 5
    while (seen := server.task(job)) != expected:
        assert time.monotonic() < end, seen
        time.sleep(0.02)


def test_metrics_are_the_real_servers_families(server: Server) -> None:
    """The same names, labels and buckets on both; counted from the first request on."""
    create(server, "job")
    server.call("task.get", id="absent")
    assert {sample(line) for line in server.metrics().splitlines() if line[0] != "#"} >= {
        ("resonate_request_total", 'kind="promise.create",status="200"'),
        ("resonate_request_total", 'kind="task.get",status="404"'),
        ("resonate_request_duration_seconds_count", 'kind="task.get"'),
        ("resonate_request_duration_seconds_bucket", 'kind="task.get",le="0.005"'),
    }
    families = {
        line.split()[2] for line in server.metrics().splitlines() if line.startswith("# TYPE")
    }
    declared = {one.name if one.kind == "histogram" else one.exported[0] for one in INSTRUMENTS}
    assert families <= declared
    if server.kind == "embedded":
        assert families == declared


def sample(line: str) -> tuple[str, str]:
    name, _, labels = line.rpartition(" ")[0].partition("{")
    return name, labels.rstrip("}")

"""The embedded server as a process: its start, its end, what its store keeps, its pages."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from resonate_fleet.contract import exits
from resonate_fleet.server.metrics import INSTRUMENTS
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
    server = processes.room("server", "free", env)
    ready = server.line("server.ready")
    ports = {ready[name].split(":")[2].partition("/")[0] for name in ("url", "metrics")}
    assert len(ports) == 2
    assert "0" not in ports
    first = server.lines()[0]
    assert (first["action"], first["RESONATE_SERVER__PORT"]) == ("settings", 0)


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


def test_a_server_killed_amid_writes_has_lost_nothing_that_it_confirmed(
    processes: Processes, tmp_path: Path
) -> None:
    server = Server("embedded", processes, store=tmp_path / "kept.db")
    lease = {"version": 0, "pid": "p", "ttl": 60_000}
    result = {"id": "ended", "state": "resolved", "value": {"data": "MQ=="}}
    for job in ("ended", "held"):
        assert create(server, job) == 200
        assert server.call("task.acquire", id=job, **lease)[0] == 200
    action = {"kind": "promise.settle", "head": {}, "data": result}
    assert server.call("task.fulfill", id="ended", version=1, action=action)[0] == 200
    confirmed = create_until_killed(server)

    server.restart()

    assert server.result("ended") == 1
    assert server.task("held") == {
        "id": "held", "state": "acquired", "version": 1, "resumes": 0, "pid": "p", "ttl": 60_000,
    }  # fmt: skip
    assert set(confirmed) <= {task["id"] for task in server.tasks("pending")}


def create_until_killed(server: Server) -> list[str]:
    """Create jobs, kill the server from the sixtieth on, and return those that it confirmed."""
    assert server.process is not None
    confirmed: list[str] = []
    while len(confirmed) < 300:
        job = f"job-{len(confirmed):03}"
        if len(confirmed) == 60:
            server.process.send(signal.SIGKILL)
        try:
            assert create(server, job) == 200
        except OSError:
            break
        confirmed.append(job)
    assert 60 <= len(confirmed) < 300, "the kill must come between two writes"
    return confirmed


def test_a_store_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "kept.db").write_bytes(b"no database at all")
    env = {"RESONATE_SERVER__PORT": "0", "RESONATE_OBSERVABILITY__METRICS_PORT": "0"}
    ended = run_room("server", "--store", str(tmp_path / "kept.db"), env=env)
    assert ended.returncode == exits.USAGE
    _, line = ended.stderr.splitlines()
    assert line.endswith("not a database; accepted: a file that can be written")


def test_a_store_that_another_server_has_is_one_line(processes: Processes, tmp_path: Path) -> None:
    Server("embedded", processes, store=tmp_path / "kept.db")
    env = {"RESONATE_SERVER__PORT": "0", "RESONATE_OBSERVABILITY__METRICS_PORT": "0"}
    ended = run_room("server", "--store", str(tmp_path / "kept.db"), env=env)
    assert ended.returncode == exits.FAILED
    _, line = ended.stderr.splitlines()
    assert line.endswith("kept.db cannot be used: database is locked")


def test_wrong_settings_are_refused_all_at_once() -> None:
    env = {
        "RESONATE_SERVER__PORT": "eighty",
        "RESONATE_MESSAGES__BATCH_SIZE": "0",
        "RESONATE_STORAGE__TYPE": "postgres",
        "DEVSERVER_STRICT_ORIGIN": "yes",
        "RESONATE_AUTH__PUBLICKEY": "/key.pem",
    }
    ended = run_room("server", env=env)
    assert ended.returncode == exits.USAGE
    assert sorted(line.split()[1] for line in ended.stderr.splitlines()) == sorted(env)


def test_settings_of_the_real_server_that_mean_nothing_here_are_named(processes: Processes) -> None:
    server = embedded(processes, RESONATE_STORAGE__POSTGRES__URL="postgres://x")
    assert server.process is not None
    assert server.process.line("settings.unused")["names"] == ["RESONATE_STORAGE__POSTGRES__URL"]


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

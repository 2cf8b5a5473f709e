"""What the world does to a steward: its files, its log, its descriptors, a wrong address."""

import socket
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.pages import metrics, value
from tests.support.processes import (
    ROOT,
    Process,
    clean_env,
    free_port,
    room_command,
    run_room,
    run_without_threads,
)
from tests.support.proxy import Cable
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


@pytest.mark.parametrize("setting", ["STEWARD_STATE", "STEWARD_JOURNAL"])
def test_a_path_that_names_something_else_is_one_line(tmp_path: Path, setting: str) -> None:
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / "below" if setting == "STEWARD_STATE" else tmp_path / "file"
    done = run_room("steward", env={setting: str(path)})
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert setting in last
    assert str(path) in last
    assert "Traceback" not in done.stderr


def test_a_steward_whose_log_nobody_reads_hands_over_and_ends(fleet: Fleet, tmp_path: Path) -> None:
    port = free_port()
    env = {
        "RESONATE_URL": fleet.server.url, "STEWARD_HOST": "127.0.0.1", "STEWARD_PORT": "0",
        "STEWARD_PRESENCE_PORT": str(port), "STEWARD_JOURNAL": str(tmp_path),
        "STEWARD_LOG_FORMAT": "json",
    }  # fmt: skip
    steward = subprocess.Popen(
        room_command("steward"), env=clean_env(env), cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert steward.stdout is not None
    steward.stdout.readline()
    steward.stdout.close()
    first, second = (
        fleet.worker(name, WORKER_STEWARD=f"127.0.0.1:{port}") for name in ("w1", "w2")
    )
    (job,) = fleet.submit("--cost", "3", "--id", "job")
    wait_until(lambda: first.lines("job.claimed") or second.lines("job.claimed"), 20, "a claim")
    holder = first if first.lines("job.claimed") else second
    holder.kill()
    result = fleet.server.wait_results([job], 30)[job]
    assert result["attempt"] == 2
    steward.terminate()
    assert steward.wait(20) == 0
    (journal,) = tmp_path.glob("*.jsonl")
    assert journal.read_text().count('"log.lost"') == 1


def failed(steward: Process) -> Counter[str]:
    """Return how often it has said that something failed, by what."""
    return Counter(line["what"] for line in steward.lines("steward.failed"))


def test_a_steward_without_descriptors_says_so_once_and_answers_its_probes(fleet: Fleet) -> None:
    command = f"ulimit -n 100; exec {' '.join(room_command('steward'))}"
    port = free_port()
    env = {
        "RESONATE_URL": fleet.server.url, "STEWARD_HOST": "127.0.0.1", "STEWARD_PORT": "0",
        "STEWARD_PRESENCE_PORT": str(port), "STEWARD_LOG_FORMAT": "json",
    }  # fmt: skip
    steward = fleet.processes.start("steward", ["bash", "-c", command], env)
    steward.line("steward.started", 30)
    worker = fleet.worker("w", WORKER_STEWARD=f"127.0.0.1:{port}")
    worker.line("presence.held", 20)
    page_port = steward.line("steward.started")["port"]
    with ExitStack() as open_:
        for number in range(300):
            to = ("127.0.0.1", (port, page_port)[number % 2])
            open_.enter_context(socket.create_connection(to))
        wait_until(lambda: "accept" in failed(steward), 20, "it says that it has none")
        pages = HTTPConnection("127.0.0.1", page_port, timeout=20)
        pages.request("GET", "/livez")
        assert pages.getresponse().status == 200
        pages.close()
        fleet.server.wait_results(fleet.submit("--cost", "0.05", "--count", "5"), 30)
    said = failed(steward)
    assert said.pop("accept") <= 2  # once a minute
    assert set(said) <= {"survey"}  # it had no descriptor for the server either
    assert len(steward.lines()) < 1000
    assert not worker.lines("presence.lost")


def test_a_steward_that_is_given_no_hints_finds_jobs_by_searches(fleet: Fleet) -> None:
    with Gate(fleet.server.url) as gate:
        gate.answer = lambda kind, _: (403, b"no hints") if kind == "poll" else None
        steward = fleet.steward(RESONATE_URL=gate.url, STEWARD_INTERVAL="0.2")
        port = steward.line("steward.started")["presence_port"]
        fleet.worker("w", WORKER_STEWARD=f"127.0.0.1:{port}")
        fleet.server.wait_results(fleet.submit("--cost", "0.05", "--count", "3"), 30)
        assert [line["why"] for line in steward.lines("stream.lost")] == ["HTTP 403: no hints"]


@pytest.mark.parametrize("wrong", ["port", "name"])
def test_a_wrong_address_of_the_steward_is_said_once(fleet: Fleet, wrong: str) -> None:
    """The steward's page port in place of the other one; a name that stands for nothing."""
    steward = fleet.steward()
    port = steward.line("steward.started")["port"]
    address = f"127.0.0.1:{port}" if wrong == "port" else "no-such-steward.invalid:9466"
    worker = fleet.worker("w", WORKER_STEWARD=address)
    assert worker.line("steward.unreachable", 40)["why"]
    assert value(metrics(worker), "fleet_worker_steward_failures_total") > 0
    fleet.server.wait_results(fleet.submit("--cost", "0.05"), 30)
    assert len(worker.lines("steward.unreachable")) == 1


def test_a_steward_to_which_warnings_are_errors_starts(fleet: Fleet) -> None:
    assert fleet.steward(PYTHONWARNINGS="error").line("steward.started", 30)


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v bounds nothing elsewhere")
def test_a_steward_that_may_start_no_thread_says_so_in_one_line() -> None:
    done = run_without_threads("steward")
    assert done.returncode == 4
    assert "can't start new thread: too little memory" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_steward_on_ipv6(fleet: Fleet) -> None:
    with Cable(fleet.server.url, "::1") as server:
        assert server.url.startswith("http://[::1]:")
        url: dict[str, Any] = {"RESONATE_URL": server.url}
        steward = fleet.steward(STEWARD_HOST="::1", **url)
        port = steward.line("steward.started")["presence_port"]
        worker = fleet.worker("w", WORKER_STEWARD=f"[::1]:{port}", WORKER_HOST="::1", **url)
        worker.line("presence.held", 20)
        fleet.server.wait_results(fleet.submit("--cost", "0.05", **url), 30)

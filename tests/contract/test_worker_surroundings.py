"""What the world does to a member: its log, its journal, its signals, its proxies, its token."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.wire import Refused
from tests.support import modules
from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.pages import metrics, page, value
from tests.support.place import Place
from tests.support.processes import (
    ROOT,
    Process,
    clean_env,
    lives,
    room_command,
    run_room,
    run_without_threads,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


@pytest.fixture
def gate(place: Place) -> Iterator[Gate]:
    with Gate(place.server.url) as made:
        yield made


def own(place: Place, folder: Path, name: str, **env: str) -> Process:
    modules.write(folder, name)
    return place.worker(WORKER_FUNCTIONS=name, PYTHONPATH=str(folder), **env)


@pytest.mark.parametrize(
    ("module", "taken_back"),
    [
        ("takes_signals", ["signal.taken-back"] * 2),
        ("configures_structlog", ["log.taken-back"]),
        ("replaces_handlers", ["log.taken-back"]),
        ("uses_uvloop", []),
        ("closes_streams", []),
        ("replaces_streams", []),
    ],
)
def test_a_module_with_manners_of_its_own_leaves_a_member_that_works_speaks_and_ends(
    place: Place, tmp_path: Path, module: str, taken_back: list[str]
) -> None:
    worker = own(place, tmp_path, module)
    job = place.job("compute_something", 0.05)
    assert place.server.wait_results([job], 30)
    assert worker.line("job.ended", 10)["outcome"] == "resolved"
    worker.terminate()
    assert worker.wait(20) == 0
    assert worker.lines("member.stopped")
    said = [line["action"] for line in worker.lines()]
    assert [one for one in said if one.endswith(".taken-back")] == taken_back


def test_a_member_whose_loop_fails_says_so_and_ends(place: Place, tmp_path: Path) -> None:
    modules.write(tmp_path, "breaks_a_loop")
    env = {"WORKER_FUNCTIONS": "breaks_a_loop", "PYTHONPATH": str(tmp_path)}
    worker = place.start_worker(**env)
    assert worker.wait(20) == 4
    assert "ZeroDivisionError" in worker.lines("defect")[0]["exception"]


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("exits", "SystemExit: 0"),
        ("interrupts", "KeyboardInterrupt"),
        ("is_broken", "two lines"),
        ("has_a_typo", "SyntaxError"),
    ],
)
def test_a_module_that_ends_the_import_is_one_line(tmp_path: Path, module: str, says: str) -> None:
    modules.write(tmp_path, module)
    done = run_room("worker", env={"WORKER_FUNCTIONS": module, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"worker: WORKER_FUNCTIONS is {module!r}: ")
    assert says in last
    assert f"{module}.py:" in last
    assert "Traceback" not in done.stderr


def test_what_the_sdk_refuses_is_said_with_the_module(tmp_path: Path) -> None:
    modules.write(tmp_path, "registers_text")
    env = {"WORKER_FUNCTIONS": "registers_text", "PYTHONPATH": str(tmp_path)}
    done = run_room("worker", env=env)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("worker: WORKER_FUNCTIONS is 'registers_text': function 'greet': ")


def settings(place: Place, **env: str) -> dict[str, str]:
    return {
        "RESONATE_URL": place.server.url,
        "WORKER_GROUP": place.group,
        "WORKER_HOST": "127.0.0.1",
        "WORKER_PORT": "0",
        "WORKER_LOG_FORMAT": "json",
        "WORKER_LEASE": "5",
        **env,
    }


def started(place: Place, command: list[str], **env: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command, env=clean_env(settings(place, **env)), cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def works_and_ends(place: Place, member: "subprocess.Popen[bytes] | Process") -> None:
    jobs = [place.job("compute_something", 0.05) for _ in range(3)]
    place.server.wait_results(jobs, 30)
    assert {place.task(job)["version"] for job in jobs} == {1}
    member.terminate()
    assert member.wait(20) == 0
    if isinstance(member, subprocess.Popen) and member.stdout is not None:
        member.stdout.close()


def test_a_member_whose_log_nobody_reads_any_more_works_and_ends(
    place: Place, tmp_path: Path
) -> None:
    member = started(place, room_command("worker"), WORKER_JOURNAL=str(tmp_path))
    assert member.stdout is not None
    member.stdout.readline()
    member.stdout.close()
    works_and_ends(place, member)
    (journal,) = tmp_path.glob("*.jsonl")
    assert journal.read_text().count('"log.lost"') == 1


def test_a_member_whose_log_and_journal_have_no_room_works_and_ends(
    place: Place, tmp_path: Path
) -> None:
    """No file may grow beyond 4 KiB, that of the log neither."""
    command = f"trap '' XFSZ; ulimit -f 4; exec {' '.join(room_command('worker'))}"
    # Python would leave modules behind that it has compiled and half written.
    env = settings(place, WORKER_JOURNAL=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
    member = place.fleet.processes.start(f"{place.group}-full", ["bash", "-c", command], env)
    member.line("pages", 30)
    place.server.wait_results([place.job("compute_something", 0.0) for _ in range(20)], 30)
    for what in ("log", "journal"):
        assert value(metrics(member), f'fleet_worker_lines_lost_total{{what="{what}"}}') > 0
    (journal,) = tmp_path.glob("*.jsonl")
    assert (journal.stat().st_size, member.err.stat().st_size) == (4096, 4096)
    works_and_ends(place, member)


def test_a_member_without_standard_streams_works_and_ends(place: Place) -> None:
    command = f"exec {' '.join(room_command('worker'))} <&- >&- 2>&-"
    works_and_ends(place, started(place, ["bash", "-c", command]))


@pytest.mark.parametrize(("handler", "drains"), [("SIG_DFL", True), ("SIG_IGN", False)])
def test_a_terminal_that_hangs_up_drains_its_member_but_not_under_nohup(
    place: Place, *, handler: str, drains: bool
) -> None:
    take = f"import os, signal, sys; signal.signal(signal.SIGHUP, signal.{handler})"
    under = f"{take}; os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", under, *room_command("worker")]
    member = place.fleet.processes.start(f"{place.group}-terminal", command, settings(place))
    member.line("member.ready", 30)
    member.send(signal.SIGHUP)
    if not drains:
        works_and_ends(place, member)
        return
    assert member.wait(20) == 0
    assert member.line("signal")["signal"] == "SIGHUP"


def test_a_member_whose_folder_is_gone_works_and_ends(place: Place) -> None:
    command = f"cd $(mktemp -d); rmdir $PWD; exec {' '.join(room_command('worker'))}"
    works_and_ends(place, started(place, ["bash", "-c", command], PYTHONPATH=str(ROOT)))


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v bounds nothing elsewhere")
def test_a_member_that_may_start_no_thread_says_so_in_one_line() -> None:
    done = run_without_threads("worker")
    assert done.returncode == 4
    assert "can't start new thread: too little memory" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_journal_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_room("worker", env={"WORKER_JOURNAL": str(tmp_path / "file")})
    assert done.returncode == 2
    assert "accepted: a folder to write to" in done.stderr.splitlines()[-1]


def refuse(*kinds: str, status: int, left: list[int]) -> Any:
    def answer(kind: str, _: dict[str, Any]) -> tuple[int, bytes] | None:
        if kind in kinds and left[0]:
            left[0] -= 1
            return status, b"<html>no</html>"
        return None

    return answer


@pytest.mark.parametrize("status", [403, 308])
def test_a_proxy_that_refuses_everything_is_said_once_and_turns_readiness_red(
    place: Place, gate: Gate, status: int
) -> None:
    worker = place.worker(RESONATE_URL=gate.url)
    left = [1_000_000]
    everything = ("poll", "promise.get", "task.acquire", "task.search", "promise.search")
    gate.answer = refuse(*everything, status=status, left=left)
    place.job("compute_something", 0.05)
    wait_until(lambda: page(worker, "/readyz")[0] == 503, 40, "readiness is red")
    said = worker.line("requests.refused", 20)
    assert f"HTTP {status}" in said["why"]
    assert f'requests_refused_total{{status="{status}"}}' in metrics(worker)
    left[0] = 0
    # A hint that comes before the stream is open would be sent again after a minute only.
    opens = "fleet_worker_stream_connected"
    wait_until(lambda: value(metrics(worker), opens) == 1, 20, "the stream is open")
    job = place.job("compute_something", 0.05)
    place.server.wait_results([job], 30)
    wait_until(lambda: page(worker, "/readyz")[0] == 200, 20, "readiness is green again")
    assert len(worker.lines("requests.refused")) == 1


@pytest.mark.parametrize("status", [403, 200])
def test_a_server_that_refuses_hints_alone_is_told_in_its_own_words(
    place: Place, gate: Gate, status: int
) -> None:
    gate.answer = refuse("poll", status=status, left=[1_000_000])
    worker = place.worker(RESONATE_URL=gate.url)
    assert worker.line("server.lost", 20)["why"] == f"HTTP {status}: <html>no</html>"
    job = place.job("compute_something", 0.05)
    place.server.wait_results([job], 30)
    assert len(worker.lines("server.lost")) == 1


def test_a_proxy_that_buffers_does_not_keep_a_member_from_being_ready(place: Place) -> None:
    with Gate(place.server.url, buffering=True) as gate:
        worker = place.worker(RESONATE_URL=gate.url)
        assert page(worker, "/readyz")[0] == 200
        job = place.job("compute_something", 0.05)
        place.server.wait_results([job], 30)


class Guard:
    """Lets in whoever has the token of the moment."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, kind: str, request: dict[str, Any]) -> tuple[int, bytes] | None:
        if kind == "poll":
            fits = request["headers"].get("Authorization") == f"Bearer {self.token}"
            return None if fits else (401, b"Unauthorized")
        if request["head"].get("auth") == self.token:
            return None
        head = f'{{"corrId":"{request["head"]["corrId"]}","status":401}}'
        return 401, f'{{"kind":"{kind}","head":{head},"data":"expired"}}'.encode()


def test_a_rotated_token_is_read_anew_and_costs_no_result(
    place: Place, gate: Gate, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    guard = gate.answer = Guard("one")
    worker = place.worker(RESONATE_URL=gate.url, RESONATE_TOKEN_FILE=str(file), WORKER_LEASE="20")
    job = place.job("compute_something", 1.0)
    place.claimed(job)
    guard.token = "two"
    worker.line("requests.refused", 20)
    file.write_text("two")
    assert place.server.wait_results([job], 30)
    assert place.task(job)["version"] == 1
    later = place.job("compute_something", 0.05)
    place.server.wait_results([later], 30)


def test_a_token_that_no_header_takes_does_not_replace_the_good_one(
    place: Place, gate: Gate, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    gate.answer = Guard("one")
    place.worker(RESONATE_URL=gate.url, RESONATE_TOKEN_FILE=str(file))
    file.write_text("one\ntwo")
    job = place.job("compute_something", 0.05)
    assert place.server.wait_results([job], 30)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    done = run_room("worker", env={"RESONATE_URL": "http://me:sesame@127.0.0.1:8001"})
    assert done.returncode == 2
    assert "sesame" not in done.stderr + done.stdout
    assert "without user, password" in done.stderr


def test_pages_on_ipv6(place: Place) -> None:
    worker = place.worker(WORKER_HOST="::1")
    assert worker.line("pages")["host"] == "::1"


def test_a_forked_child_does_not_keep_its_members_port(shared_fleet: Fleet, gate: Gate) -> None:
    first = Place(shared_fleet)
    worker = first.worker(WORKER_FUNCTIONS="tests.support.bodies", RESONATE_URL=gate.url)
    wait_until(lambda: gate.streams == 2, 20, "its own stream and its group's are open")
    before = worker.children()
    job = first.job("leave_child", 0.1)
    (child,) = wait_until(lambda: worker.children() - before, 10, "the child is there")
    first.server.wait_results([job], 30)
    port = str(worker.line("pages")["port"])
    worker.kill()
    wait_until(lambda: not gate.streams, 5, "its streams have ended")
    again = first.worker("again", WORKER_PORT=port)
    assert again.line("pages")["port"] == int(port)
    assert lives(child)
    os.kill(child, signal.SIGKILL)
    first.close()


def descriptors(worker: Process) -> int:
    return len(list(Path(f"/proc/{worker.pid}/fd").iterdir()))


def test_descriptors_of_a_member_stay_flat(place: Place) -> None:
    worker = place.worker(WORKER_SLOTS="4")
    place.server.wait_results([place.job("compute_something", 0.01) for _ in range(20)], 30)
    before = descriptors(worker)
    place.server.wait_results([place.job("compute_something", 0.01) for _ in range(60)], 30)
    assert descriptors(worker) <= before + 4


def test_a_job_too_large_for_the_server_is_refused_with_the_reason(place: Place) -> None:
    with (
        BlockingWire(place.server.url) as wire,
        pytest.raises(Refused, match="413 more than 2 MiB"),
    ):
        wire.create_promise("large", 0, ["x" * 3_000_000], {})

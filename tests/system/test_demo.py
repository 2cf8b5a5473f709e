"""`fleet demo` as a newcomer meets it: what it shows, how it ends, what it leaves."""

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Process, Processes, clean_env, room_command, run_room
from tests.support.servers import Server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

#: A short one: a second or two of work.
SHORT = ("--jobs", "9", "--scale", "0.3")
#: One that will not have ended by itself.
LONG = ("--workers", "1", "--scale", "10")


def left_over(folder: Path) -> list[str]:
    """Return the command lines of running processes that have anything to do with `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.name == str(os.getpid()) or "State:\tZ" in (entry / "status").read_text():
                continue
            command = (entry / "cmdline").read_bytes()
            if str(folder).encode() in command + (entry / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode())
        except OSError:
            continue  # ended meanwhile, or not ours to read
    return found


def demo(processes: Processes, folder: Path, *args: str) -> Process:
    return processes.room("fleet", "demo", {}, "demo", "--runs", str(folder), *args)


def wait_busy(process: Process, folder: Path) -> None:
    """Wait until jobs are under way."""
    wait_until(lambda: "are confirmed" in process.out.read_text(), 90, "the jobs are confirmed")
    assert len(left_over(folder)) >= 4  # itself, server, steward, worker


def test_it_kills_a_worker_loses_nothing_and_says_so(tmp_path: Path) -> None:
    runs, file = tmp_path / "runs", tmp_path / "demo.json"
    done = run_room("fleet", "demo", *SHORT, "--runs", str(runs), "--json", str(file), timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("9 jobs are confirmed", "is killed in the middle of", "is handed over from"):
        assert words in done.stdout
    assert "attempt 2" in done.stdout
    assert (
        "PASS: 9 of 9 jobs ended with their result, 0 lost, 0 doubled, 1 done again" in done.stdout
    )
    figures = json.loads(file.read_text())["figures"]
    assert (figures["jobs_done"], figures["strikes"], figures["redone_jobs"]) == (9, 1, 1)
    assert len(figures["shares"]) == 3
    assert 0 < figures["bound"] <= figures["makespan"] * 1.5
    assert [path.name for path in runs.glob("*/report.html")] == ["report.html"]
    assert left_over(tmp_path) == []


def on_a_terminal(
    folder: Path, *args: str, keys: bytes = b"", after: bytes = b"24 jobs are confirmed"
) -> tuple[int, str]:
    """Play a demo on a terminal, press `keys` once it says `after`; return code and picture."""
    its_own = ("setsid", "--ctty")  # where Ctrl-C is a signal
    command = [*its_own, *room_command("fleet"), "demo", *args, "--runs", str(folder)]
    ours, theirs = pty.openpty()
    env = clean_env({"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"})
    process = subprocess.Popen(
        command, stdout=theirs, stderr=theirs, stdin=theirs, env=env, cwd=ROOT
    )
    os.close(theirs)
    shown = b""
    try:
        with contextlib.suppress(OSError):  # how a terminal says that the other side has gone
            while chunk := os.read(ours, 65_536):
                shown += chunk
                if keys and after in shown:
                    os.write(ours, keys)
                    keys = b""
        return process.wait(30), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_on_a_terminal_it_draws_a_live_view(tmp_path: Path) -> None:
    code, text = on_a_terminal(tmp_path, *SHORT, "--workers", "2")
    assert code == 0, text[-3000:]
    assert "\x1b[" in text
    assert "9 jobs are confirmed" in text
    assert "killed" in text
    assert "PASS: 9 of 9 jobs" in text
    assert left_over(tmp_path) == []


def test_q_breaks_it_off(tmp_path: Path) -> None:
    code, text = on_a_terminal(tmp_path, *LONG, keys=b"xq")
    assert code == 130
    assert "broken off; all its processes have ended" in text
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_q_and_ctrl_c_count_before_the_fleet_is_up(tmp_path: Path, key: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code, text = on_a_terminal(
            tmp_path, *LONG, "--server", url, keys=key, after=f"slot on {url}".encode()
        )
    assert code == 130
    assert "broken off; all its processes have ended" in text
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_broken_off_it_leaves_nothing_running(
    processes: Processes, tmp_path: Path, number: signal.Signals
) -> None:
    process = demo(processes, tmp_path, *LONG)
    wait_busy(process, tmp_path)
    process.send(number)
    assert process.wait(30) == 130
    assert left_over(tmp_path) == []


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells children of their parent's end"
)
def test_killed_it_leaves_nothing_running(processes: Processes, tmp_path: Path) -> None:
    process = demo(processes, tmp_path, *LONG)
    wait_busy(process, tmp_path)
    process.kill()
    wait_until(lambda: not left_over(tmp_path), 10, "every process of the demo has ended")


def test_on_a_server_that_runs_it_keeps_to_itself(server: Server, tmp_path: Path) -> None:
    for _ in range(2):  # the same seed twice: no job of the first is taken for one of the second
        few = ("--workers", "1", "--jobs", "5", "--scale", "0.1")
        asked = ("demo", *few, "--runs", str(tmp_path), "--server", server.url)
        done = run_room("fleet", *asked, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "5 of 5 jobs" in done.stdout
    assert len(server.tasks("fulfilled")) == 10
    assert server.process is not None
    assert server.process.running


def test_a_job_that_ends_without_its_result_is_a_broken_promise(
    server: Server, processes: Processes, tmp_path: Path
) -> None:
    process = demo(processes, tmp_path, "--workers", "1", "--jobs", "6", "--server", server.url)
    waiting = wait_until(lambda: server.tasks("pending"), 90, "a job waits")
    status, _ = server.call("promise.settle", id=waiting[-1]["id"], state="rejected", value={})
    assert status == 200
    assert process.wait(90) == 1
    assert "FAIL" in process.out.read_text()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--jobs", "0"), "accepted: a whole number from 1"),
        (("--workers", "2", "--kill", "2"), "accepted: 0 to 1"),
        (("--server", "nowhere"), "accepted: an address"),
        (("--frobnicate",), "unrecognized arguments"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_2(args: tuple[str, ...], words: str) -> None:
    done = run_room("fleet", "demo", *args)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_is_not_there_is_a_failure_of_the_demo_itself(tmp_path: Path) -> None:
    asked = ("demo", "--runs", str(tmp_path), "--server", "http://127.0.0.1:9")
    done = run_room("fleet", *asked, timeout=60)
    assert done.returncode == 4
    assert "http://127.0.0.1:9 cannot be reached" in done.stderr
    assert left_over(tmp_path) == []

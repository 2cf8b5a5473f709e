"""`fleet up`, `ps`, `top` and `quarantine`, each as its user types it."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from resonate_fleet.contract.journal import MemberStarted, read_folder
from tests.support.fleet import Fleet, holders
from tests.support.processes import (
    ROOT,
    Process,
    Processes,
    clean_env,
    free_port,
    room_command,
    run_room,
)
from tests.support.proxy import Proxy
from tests.support.servers import Server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


def fleet_command(server: Server, *args: str) -> str:
    """Run a command that must succeed; return what it printed."""
    done = run_room("fleet", *args, "--server", server.url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_up(
    processes: Processes, *args: str, env: Mapping[str, str] | None = None
) -> tuple[Process, str, str]:
    """Start `fleet up` on free ports; return it with the addresses of server and steward."""
    port, steward = free_port(), free_port()
    ports = ("--port", str(port), "--steward-port", str(steward))
    process = processes.room("fleet", "up", env or {}, "up", *ports, *args)

    def is_up() -> bool:
        assert process.running, process.tail()
        return "Ctrl-C ends it" in process.out.read_text()

    wait_until(is_up, 60, "the fleet is up")
    return process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{steward}"


def test_up_runs_jobs_restarts_who_was_killed_and_ends_in_order(
    processes: Processes, tmp_path: Path
) -> None:
    more = ("--workers", "2", "--runs", str(tmp_path / "up"))
    process, url, steward = start_up(processes, *more, env={"TMPDIR": str(tmp_path)})
    said = process.out.read_text()
    assert url in said
    assert steward in said

    def started() -> list[MemberStarted]:
        lines = read_folder(tmp_path / "up" / "journal")
        return [line for line in lines if isinstance(line, MemberStarted)]

    victim, other = started()
    assert {victim.who, other.who} == set(re.findall(r"worker-\d-[0-9a-f]{6}", said))
    (record,) = tmp_path.glob("resonate-fleet-*")
    shutil.rmtree(record)  # as whoever clears up temporary files does
    os.kill(victim.process, signal.SIGKILL)
    third = wait_until(lambda: started()[2:], 30, "the killed worker is started again")[0]
    assert third.who.rpartition("-")[0] == victim.who.rpartition("-")[0]
    env = {"RESONATE_URL": url, "CLIENT_LOG_FORMAT": "off"}
    done = run_room("client", "--count", "4", "--cost", "0.2", "--wait", env=env)
    assert done.returncode == 0
    shown = run_room("fleet", "top", "--looks", "1", "--server", url, "--steward", steward)
    assert shown.returncode == 0
    assert other.who in shown.stdout
    assert "idle" in shown.stdout
    process.send(signal.SIGINT)
    assert process.wait(30) == 130


def test_kill_strikes_a_member_of_the_fleet_that_is_up_and_nobody_else(
    processes: Processes, tmp_path: Path
) -> None:
    env = {"TMPDIR": str(tmp_path)}  # this test's fleets are the only ones that are seen
    none = run_room("fleet", "kill", env=env)
    assert (none.returncode, none.stdout) == (2, "")
    assert none.stderr == "fleet kill: `fleet up` keeps no fleet on this machine\n"
    process, url, steward = start_up(processes, "--workers", "2", env=env)
    names = re.findall(r"worker-\d-[0-9a-f]{6}", process.out.read_text())
    wrong = run_room("fleet", "kill", "worker-9", env=env)
    assert wrong.returncode == 2
    assert f"accepted: {', '.join(sorted(names))}" in wrong.stderr
    submit = ("submit", "compute_something", "--id", "a-job", "--args", '["a-job", 8]')
    assert run_room("fleet", *submit, "--server", url).returncode == 0
    look = ("ps", "--json", "--server", url, "--steward", steward)
    wait_until(lambda: json.loads(run_room("fleet", *look).stdout)["running"], 30, "it is held")
    killed = run_room("fleet", "kill", env=env)
    assert killed.returncode == 0
    match = re.fullmatch(r"killed (\S+), process (\d+); it held a-job\n", killed.stdout)
    assert match is not None
    assert match[1] in names
    asked = ("result", "a-job", "--wait", "60", "--json", "--server", url)
    result = json.loads(run_room("fleet", *asked, timeout=70).stdout)["value"]
    assert (result["attempt"], result["member"] == match[1]) == (2, False)
    process.send(signal.SIGINT)
    assert process.wait(40) == 130
    assert run_room("fleet", "kill", env=env).returncode == 2


def start_of(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]


def test_kill_believes_a_record_of_the_very_process_and_its_parent_alone(tmp_path: Path) -> None:
    folder = tmp_path / f"resonate-fleet-{os.getuid()}"
    folder.mkdir(mode=0o700)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        own = start_of(bystander.pid)
        # Another start of the same number, a child of somebody else, and the truth.
        for started, parent, code in (("1", os.getpid(), 2), (own, 1, 2), (own, os.getpid(), 0)):
            member = {"name": "worker-1", "member": "worker-1-x", "process": bystander.pid}
            fleet = {"process": parent, "started": start_of(parent), "url": "http://x"}
            record = fleet | {"steward": None, "members": [member | {"started": started}]}
            (folder / "fleet.json").write_text(json.dumps(record))
            assert bystander.poll() is None
            done = run_room("fleet", "kill", "worker-1", env={"TMPDIR": str(tmp_path)})
            assert done.returncode == code, done.stderr
            assert (folder / "fleet.json").exists(), "it is a record of a fleet that runs"
        assert bystander.wait(10) == -signal.SIGKILL


def test_ps_with_a_steward_says_how_old_it_is_and_names_who_nobody_can_do(
    processes: Processes,
) -> None:
    process, url, steward = start_up(processes, "--workers", "1")
    asked = ("submit", "nobody_has_it", "--id", "stuck", "--server", url)
    assert run_room("fleet", *asked).returncode == 0
    look = ("ps", "--server", url, "--steward", steward)

    def shown() -> str:
        text = run_room("fleet", *look).stdout
        return text if "nobody has the function nobody_has_it" in text else ""

    text = wait_until(shown, 30, "the reason is shown")
    assert "worker-group: 1 wait, nobody has the function nobody_has_it: stuck" in text
    assert re.search(r"^steward-1, \d+\.\d s old", text, re.MULTILINE)
    assert "idle" in text
    process.send(signal.SIGINT)
    assert process.wait(40) == 130


def test_ps_answers_at_once_whatever_waits(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text('{"function": "f"}\n' * 3000)
    env = {"CLIENT_LOG_FORMAT": "off"}
    asked = ("submit", "--jobs", str(file), "--server", server.url)
    assert run_room("fleet", *asked, env=env, timeout=100).returncode == 0
    seen = json.loads(fleet_command(server, "ps", "--json"))
    assert seen["groups"][0]["waiting"] == 2000
    assert "more waits than is counted" in seen["source"]


def test_top_ends_when_nobody_reads_it(server: Server, tmp_path: Path) -> None:
    command = f"{sys.executable} -m resonate_fleet top --server {server.url} --interval 0.1"
    pipe = f"({command}; echo $? > {tmp_path}/code) | head -1"
    done = subprocess.run(
        ["bash", "-c", pipe], env=clean_env(), capture_output=True, timeout=60, check=True, cwd=ROOT
    )
    assert done.stdout.startswith(b"fleet top")
    wait_until((tmp_path / "code").exists, 30, "top has ended")
    assert (tmp_path / "code").read_text() == "141\n"


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_q_ends_top_on_a_terminal(server: Server, term: str) -> None:
    ours, theirs = pty.openpty()
    command = [*room_command("fleet"), "top", "--server", server.url, "--interval", "60"]
    env = clean_env({"TERM": term, "COLUMNS": "80", "LINES": "24"})
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as top:
        shown = b""
        while b"no jobs are under way" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, b"q")
        assert top.wait(30) == 0
    assert (b"\x1b[" in shown) == (term == "xterm")
    os.close(theirs)
    os.close(ours)


def test_up_starts_a_steward_again_and_says_so(processes: Processes, tmp_path: Path) -> None:
    runs = tmp_path / "up"
    more = ("--workers", "1", "--stewards", "2", "--runs", str(runs))
    process, _, _ = start_up(processes, *more)
    log = runs / "logs" / "steward-1.log"

    def starts() -> list[int]:
        return [
            n for n, line in enumerate(log.read_text().splitlines()) if "steward.started" in line
        ]

    pids = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "resonate_fleet.steward"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    first = min(int(one) for one in pids.stdout.split())
    os.kill(first, signal.SIGKILL)
    says = "steward-1 was ended by SIGKILL and is started again"
    wait_until(lambda: says in process.out.read_text(), 20, "it says so")
    wait_until(lambda: len(starts()) == 2, 30, "it is there again")
    process.send(signal.SIGINT)
    assert process.wait(30) == 130


def test_up_without_a_steward_names_none(processes: Processes) -> None:
    process, url, _ = start_up(processes, "--workers", "1", "--stewards", "0")
    assert f"export   RESONATE_URL={url}\n" in process.out.read_text()
    process.send(signal.SIGINT)
    assert process.wait(30) == 130


def test_up_on_a_taken_port_says_why_and_fails(processes: Processes, server: Server) -> None:
    port = server.url.rpartition(":")[2]
    process = processes.room("fleet", "up", {}, "up", "--port", port, "--workers", "1")
    assert process.wait(60) == 2
    says = f"fleet up: --port is {port}, which is taken; accepted: a port that is free\n"
    assert process.err.read_text() == says


def test_ps_shows_who_holds_what_and_what_waits(fleet: Fleet, server: Server) -> None:
    worker = fleet.worker("w")
    ids = fleet.submit("--count", "3", "--cost", "30")
    wait_until(lambda: holders(server), 10, "a job is held")
    seen = json.loads(fleet_command(server, "ps", "--json"))
    (held,) = seen["running"]
    assert held["member"] == fleet.member(worker)
    assert (held["attempt"], held["function"]) == (1, "compute_something")
    assert held["job"] in ids
    (queue,) = seen["groups"]
    assert (queue["group"], queue["waiting"], queue["running"]) == ("worker-group", 2, 1)
    text = fleet_command(server, "ps")
    assert held["job"] in text
    assert fleet.member(worker) in text


def test_ps_shows_the_error_of_a_failed_job(fleet: Fleet, server: Server) -> None:
    started = fleet.steward().line("steward.started")
    worker = fleet.worker("w", WORKER_STEWARD=f"127.0.0.1:{started['presence_port']}")
    asked = ("--id", "misfit", "--args", '["only one"]', "--wait")
    assert fleet.client(*asked).returncode == 1
    look = ("ps", "--steward", f"http://127.0.0.1:{started['port']}")

    def shown() -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(fleet_command(server, *look, "--json"))["failed"]
        return found

    (failed,) = wait_until(shown, 20, "the steward has heard of it")
    assert (failed["id"], failed["state"]) == ("misfit", "failed")
    assert "compute_cost" in failed["reason"]
    assert "compute_cost" in fleet_command(server, *look)
    away = run_room("fleet", *look, "--server", "http://127.0.0.1:9")
    assert away.returncode == 0
    assert fleet.member(worker) in away.stdout
    says = "fleet ps: failures are left out: http://127.0.0.1:9 cannot be reached"
    (line,) = away.stderr.splitlines()
    assert line.startswith(says)


def test_top_tells_of_a_recovery(fleet: Fleet, server: Server, processes: Processes) -> None:
    first, second = fleet.workers(2, WORKER_LEASE="1")
    steward = ("--steward", "http://127.0.0.1:9")  # there is none: the server alone will do
    with Proxy(server.url) as asked:
        more = ("--server", asked.url, "--interval", "0.1", *steward)
        top = processes.room("fleet", "top", {}, "top", *more)

        def looks() -> int:
            return sum(one.get("state") == "acquired" for one in asked.kind("task.search"))

        (job,) = fleet.submit("--cost", "20")
        held = wait_until(lambda: holders(server).get(job), 10, "the job is held")
        before = looks()  # one of them may still be without its answer
        wait_until(lambda: looks() >= before + 2, 30, "it has seen who holds it")
        victim, other = sorted([first, second], key=lambda one: fleet.member(one) != held["pid"])
        victim.kill()
        moved = f"{job} went from {fleet.member(victim)} to {fleet.member(other)}, attempt 2"
        wait_until(lambda: moved in top.out.read_text(), 30, "it has told of the recovery")
        top.send(signal.SIGINT)
        assert top.wait(10) == 0


def parked_job(server: Server, id: str) -> None:
    """Make a job as a client would and park it as the steward would."""
    tags = {"resonate:target": "poll://any@worker-group"}
    call = {"data": "eyJmdW5jIjoiY29tcHV0ZV9zb21ldGhpbmciLCJhcmdzIjpbImEiLDAuMV19"}
    server.call("promise.create", id=id, timeoutAt=2**52, param=call, tags=tags)
    status, _ = server.call("task.halt", id=id)
    assert status == 200


def test_quarantine_lists_shows_redrives_and_rejects(fleet: Fleet, server: Server) -> None:
    assert "empty" in fleet_command(server, "quarantine", "list")
    for job in ("poison-1", "poison-2"):
        parked_job(server, job)
    assert "poison-1" in fleet_command(server, "quarantine", "list")
    listed = json.loads(fleet_command(server, "quarantine", "list", "--json"))
    assert [one["task"] for one in listed] == ["poison-1", "poison-2"]
    shown = fleet_command(server, "quarantine", "show", "poison-1")
    assert "compute_something" in shown
    fleet_command(server, "quarantine", "redrive", "poison-1")
    fleet_command(server, "quarantine", "reject", "poison-2", "--why", "it never ends")
    fleet.worker("w")
    assert server.wait_results(["poison-1"])["poison-1"]["cost"] == 0.1
    promise = server.promise("poison-2")
    assert promise is not None
    assert promise["state"] == "rejected"
    assert server.result("poison-2")["message"] == "it never ends"
    failed = json.loads(fleet_command(server, "job", "poison-2", "--json"))
    assert (failed["state"], failed["error"]) == ("failed", "it never ends")


def test_quarantine_with_a_steward_says_how_old_its_list_is(fleet: Fleet, server: Server) -> None:
    parked_job(server, "poison")
    assert "by the server alone" in fleet_command(server, "quarantine", "list")
    steward = fleet.steward()
    pages = f"http://127.0.0.1:{steward.line('steward.started')['port']}"

    def listed() -> str:
        shown = fleet_command(server, "quarantine", "list", "--steward", pages)
        return shown if "after its last search" in shown else ""

    shown = wait_until(listed, 30, "the steward has searched")
    assert re.search(r", \d+\.\d s after its last search\n", shown)
    assert "poison" in shown


def test_what_is_not_parked_is_the_users_mistake(server: Server) -> None:
    for action in ("show", "redrive", "reject"):
        done = run_room("fleet", "quarantine", action, "nothing", "--server", server.url)
        assert done.returncode == 2
        assert done.stderr == "fleet quarantine: there is no task nothing\n"


@pytest.mark.parametrize("command", [("ps",), ("top", "--looks", "1"), ("quarantine", "list")])
def test_a_server_that_is_not_there_is_one_line_and_exit_4(command: tuple[str, ...]) -> None:
    done = run_room("fleet", *command, "--server", "http://127.0.0.1:9")
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    assert "http://127.0.0.1:9 cannot be reached" in done.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("chaos", "plan", "one-kill", "--seed", "7"), 0),
        (("chaos", "plan", "no-such-scenario"), 2),
        (("report", "no/such/folder"), 2),
        (("bench", "--help"), 0),
        (("up", "--group", "Not A Group"), 2),
        (("ps", "--server", "nowhere"), 2),
    ],
)
def test_doors_to_the_rooms_and_mistakes(command: tuple[str, ...], code: int) -> None:
    done = run_room("fleet", *command)
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == (code == 2)


def test_a_token_file_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    missing = str(tmp_path / "token")
    done = run_room("fleet", "ps", env={"RESONATE_TOKEN_FILE": missing})
    assert done.returncode == 2
    assert (
        done.stderr == f"fleet ps: RESONATE_TOKEN_FILE is {missing!r}: No such file or directory\n"
    )

"""What users type by mistake: one clear line, the right exit code, the rest done all the same."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.jobs import post_job
from tests.support.processes import ROOT, clean_env, room_command, run_room
from tests.support.servers import Server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
NOWHERE = "http://127.0.0.1:9"
#: More than Python's JSON readers follow.
DEEP = b"[" * 200_000 + b"]" * 200_000


def fleet_says(server: Server, *command: str, code: int = 0) -> str:
    """Return what `fleet` writes to standard error; it ends with `code`."""
    env = {"RESONATE_URL": server.url, "FLEET_STEWARD_URL": NOWHERE, "CLIENT_LOG_FORMAT": "off"}
    done = run_room("fleet", *command, env=env)
    assert done.returncode == code, (command, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr


def in_a_shell(
    server: Server, typed: str, before: str = "true"
) -> "subprocess.CompletedProcess[str]":
    command = f"{before}; {' '.join(room_command('fleet'))} {typed}"
    env = clean_env(
        {"RESONATE_URL": server.url, "FLEET_STEWARD_URL": NOWHERE, "CLIENT_LOG_FORMAT": "off"}
    )
    return subprocess.run(
        ["bash", "-c", command], env=env, cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["ps", "jobs --json --store", "job one", "result one", "help"])
@pytest.mark.parametrize(
    ("redirected", "code", "says"),
    [
        (">/dev/full", 4, "standard output cannot be written: No space left on device"),
        (">&-", 0, ""),
        ("<&- 2>&-", 0, ""),
    ],
)
def test_output_that_goes_nowhere_is_one_line(
    server: Server, command: str, redirected: str, code: int, says: str
) -> None:
    post_job(server, "f", id="one")
    server.call("promise.settle", id="one", state="resolved", value={})
    done = in_a_shell(server, f"{command} {redirected}")
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("chaos run one-kill --runs {}", "/plan.json cannot be written: File too large"),
        ("up", "fleet up: no folder for temporary files can be written; accepted: one that can"),
    ],
)
def test_a_full_disk_is_one_line_that_names_what_is_full(
    server: Server, tmp_path: Path, command: str, says: str
) -> None:
    done = in_a_shell(server, command.format(tmp_path), "ulimit -f 0")
    (line,) = done.stderr.splitlines()
    assert (done.returncode, says in line) == (2, True), line
    assert "standard output" not in line


def test_a_reader_that_leaves_a_table_ends_it_as_it_ends_other_output(server: Server) -> None:
    for number in range(2000):
        post_job(server, "f", id=f"a-job-with-a-long-name-{number}")
    typed = "jobs --store --limit 2000 | head -1; exit ${PIPESTATUS[0]}"
    assert in_a_shell(server, typed).returncode == 141


@pytest.mark.parametrize(
    "command",
    [
        ("job", ""), ("result", ""), ("cancel", ""), ("rerun", ""), ("quarantine", "redrive", ""),
        ("schedule", "show", ""), ("schedule", "remove", ""), ("submit", "--jobs", ""),
        ("cancel", "--all", "--group", "g", "--function", ""),
    ],
)  # fmt: skip
def test_what_an_unset_variable_leaves_behind_is_refused(
    server: Server, command: tuple[str, ...]
) -> None:
    job = post_job(server, "f", group="g")
    assert len(fleet_says(server, *command, code=2).splitlines()) == 1
    assert (server.promise(job) or {})["state"] == "pending"


def test_a_mistake_at_one_does_not_keep_the_others(server: Server) -> None:
    for job in ("a", "b", "waits"):
        post_job(server, "f", id=job)
    for job in ("a", "b"):
        server.call("promise.settle", id=job, state="rejected", value={})
    says = fleet_says(server, "rerun", "a", "no-such-job", "waits", "b", code=2)
    assert "there is no job 'no-such-job'" in says
    assert "'waits' is waiting: it goes on; accepted: a job that is over" in says
    assert server.promise("a-rerun-1")
    assert server.promise("b-rerun-1")
    assert server.promise("waits-rerun-1") is None
    fleet_says(server, "schedule", "add", "s", "@daily", "f")
    says = fleet_says(server, "schedule", "remove", "x", "s", "y", code=2)
    assert says.count("there is no schedule") == 2
    assert server.call("schedule.search", limit=10)[1]["schedules"] == []


def test_only_a_job_of_its_own_is_run_again(server: Server) -> None:
    call = {"timeoutAt": 2**42, "param": {}}
    server.call("promise.create", id="j:1", tags={}, **call)
    server.call("promise.create", id="outside", tags={}, **call)
    for id_ in ("j:1", "outside"):
        server.call("promise.settle", id=id_, state="resolved", value={})
    says = fleet_says(server, "rerun", "j:1", "outside", code=2)
    assert "'j:1' is a part of 'j'; accepted: a job of its own" in says
    assert "'outside' is no job" in says
    assert "resolved" in in_a_shell(server, "result j:1").stdout


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("cancel", "a", "--function", "f"), "--function stands beside ids"),
        (("rerun", "a", "--since", "1h"), "--since stands beside ids"),
        (("rerun", "--failed", "--state", "done"), "--state is 'done' beside --failed"),
        (("submit", "f", "--not-before", "2d"), "its timeout 86400 s; accepted: a longer timeout"),
        (("jobs", "--since", "99999d"), "at most 36500d"),
        (("submit", "f", "--timeout", "1e9"), "a number from 0.001 to 315360000"),
        (("store", "show", "mysql://u:secret@h/d"), "mysql://(hidden)@h/d"),
        (("store", "postgres://u:secret@h/d"), "postgres://(hidden)@h/d"),
        (("store", "show", "mysql://u:a secret@h/d"), "mysql://(hidden)@h/d"),
        (("schedule", "add", "s", "@daily", "two words"), "a function's name"),
        (("submit", "f", "--id", "x" * 9999), "accepted: 1 to 512 characters"),
    ],
)
def test_a_contradiction_is_one_short_line(
    server: Server, command: tuple[str, ...], says: str
) -> None:
    (line,) = fleet_says(server, *command, code=2).splitlines()
    assert says in line
    assert "secret" not in line
    assert len(line) < 2100


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b'\xef\xbb\xbf{"function": "f", "id": "one"}', 0, "1 of 1 jobs are confirmed"),
        ('{"function": "f"}\n'.encode("utf-16"), 2, "line 1: it is not UTF-8 text"),
        (b"\x1f\x8b\x08\x00 gzip\n", 2, "line 1: it is not UTF-8 text"),
        (b'{"function": "f", "version": 0}', 2, "version is 0; accepted: a whole number"),
        (b'{"function": "f", "key": "a\\u0000b"}', 2, "key is 'a\\x00b'; accepted: up to 512"),
        pytest.param(
            b'{"function": "f", "args": ["%s"]}' % (b"x" * 2**21),
            *(2, "bytes; accepted: 1,500,000 at most"),
            id="long",
        ),
        pytest.param(
            b'{"function": "f", "args": %s}' % DEEP,
            *(2, "line 1: it nests too deep; accepted: one"),
            id="deep",
        ),
    ],
)
def test_files_of_other_systems_are_read_or_named(
    server: Server, tmp_path: Path, content: bytes, code: int, says: str
) -> None:
    file = tmp_path / "jobs of mine?.jsonl"
    file.write_bytes(content)
    assert says in fleet_says(server, "submit", "--jobs", str(file), code=code)


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"\xef\xbb\xbf[1]", 0, ""),
        ("[1]".encode("utf-16"), 2, "it is not UTF-8 text"),
        (b" \n", 2, "it is empty"),
        pytest.param(DEEP, 2, "it nests too deep", id="deep"),
    ],
)
def test_arguments_of_other_systems_are_read_or_named(
    server: Server, tmp_path: Path, content: bytes, code: int, says: str
) -> None:
    file = tmp_path / "args.json"
    file.write_bytes(content)
    assert says in fleet_says(server, "submit", "f", "--args", f"@{file}", code=code)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    made = tmp_path / "pipe"
    os.mkfifo(made)
    return made


def test_a_batch_comes_through_a_pipe_too(server: Server, pipe: Path) -> None:
    typed = f'submit --jobs {pipe} & echo \'{{"function": "f", "id": "one"}}\' > {pipe}; wait $!'
    done = in_a_shell(server, typed)
    assert (done.returncode, done.stdout) == (0, "one\n"), done.stderr
    assert "no jobs" in in_a_shell(server, "submit --jobs - <&-").stderr


def test_a_batch_that_changes_while_it_is_sent_stops(server: Server, tmp_path: Path) -> None:
    """Nobody has checked what has come."""
    file = tmp_path / "jobs.jsonl"
    file.write_bytes(b'{"function": "f"}\n' * 50)
    changes = f"(read -r _; echo '{{\"func' >> {file}; cat)"
    typed = f"submit --jobs {file} --rate 10 | {changes}; exit ${{PIPESTATUS[0]}}"
    done = in_a_shell(server, typed)
    assert done.returncode == 4
    assert f"{file} has changed since it was checked; the same command again" in done.stderr
    assert 1 <= len(server.tasks("pending")) < 50


def test_a_job_that_nests_too_deep_to_be_read_ends_nobody(fleet: Fleet, tmp_path: Path) -> None:
    steward = fleet.steward()
    started = steward.line("steward.started")
    fleet.worker("w", WORKER_STEWARD=f"127.0.0.1:{started['presence_port']}")
    where = f"http://127.0.0.1:{started['port']}"
    env = {"RESONATE_URL": fleet.server.url, "FLEET_STEWARD_URL": where}
    deep = base64.b64encode(b'{"func": "f", "args": %s}' % DEEP).decode()
    tags = {"resonate:target": "poll://any@worker-group", "resonate:origin": "deep"}
    fleet.server.call("promise.create", id="deep", timeoutAt=2**42, param={"data": deep}, tags=tags)
    for command in ("job deep", "jobs --function f", "jobs --store", "ps"):
        done = run_room("fleet", *command.split(), env=env)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), command
    fleet.server.wait_results(fleet.submit("--count", "2", "--cost", "0.01"))
    assert steward.running


def test_a_child_is_no_job_of_a_list_and_its_body_is_stopped(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "with_a_child.py").write_text(
        "import asyncio\n"
        "async def waits(ctx):\n    await asyncio.sleep(300)\n"
        "async def parent(ctx, id):\n    await ctx.rpc('waits')\n"
        "def register(registry):\n    registry.register(waits)\n    registry.register(parent)\n"
    )
    steward = fleet.steward()
    started = steward.line("steward.started")
    where = f"http://127.0.0.1:{started['port']}"
    fleet.worker(
        "w",
        WORKER_STEWARD=f"127.0.0.1:{started['presence_port']}",
        WORKER_FUNCTIONS="with_a_child",
        WORKER_SLOTS="2",
        PYTHONPATH=str(tmp_path),
    )
    job = post_job(fleet.server, "parent", id="p")
    env = {"RESONATE_URL": fleet.server.url, "FLEET_STEWARD_URL": where}

    def shown(*command: str) -> list[str]:
        return run_room("fleet", *command, "--json", env=env).stdout.splitlines()

    def child() -> dict[str, object]:
        return dict(json.loads("".join(shown("job", "p:1")) or "{}"))

    wait_until(lambda: child().get("state") == "running", 20, "the child runs")
    assert [json.loads(line)["id"] for line in shown("jobs")] == [job]
    assert run_room("fleet", "cancel", "p:1", env=env).returncode == 0

    def outcomes() -> list[object]:
        return [one["outcome"] for one in child()["attempts"]]  # type: ignore[attr-defined] # JSON

    wait_until(lambda: outcomes() == ["cancelled"], 20, "its body is stopped by the steward")


def test_a_sleep_waits_for_no_slot(server: Server) -> None:
    tags = {"resonate:timer": "true", "resonate:target": "poll://any@worker-group"}
    server.call("promise.create", id="j:1", timeoutAt=2**42, param={}, tags=tags)
    assert json.loads(in_a_shell(server, "job j:1 --json").stdout)["state"] == "sleeping"


def test_failed_jobs_are_run_again_once(server: Server) -> None:
    post_job(server, "f", id="a")
    server.call("promise.settle", id="a", state="rejected", value={})
    for says in ("a-rerun-1 repeats a\n", "a is repeated by a-rerun-1 already\n"):
        assert in_a_shell(server, "rerun --failed --store").stdout == says
    assert server.promise("a-rerun-2") is None
    assert in_a_shell(server, "rerun a").stdout == "a-rerun-2 repeats a\n"


@pytest.mark.parametrize(
    "command",
    [
        ("job", "a"), ("jobs",), ("cancel", "a"), ("ps",), ("schedule", "list"),
        ("result", "a", "--deadline", "0.2"), ("submit", "f", "--deadline", "0.2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("data", [{"other": 1}, None, []], ids=["other", "null", "list"])
def test_a_server_of_another_protocol_is_named(
    server: Server, command: tuple[str, ...], data: object
) -> None:
    def other(kind: str, request: dict[str, dict[str, str]]) -> tuple[int, bytes]:
        head = {"corrId": request["head"]["corrId"], "status": 200, "version": "2027-01-01"}
        return 200, json.dumps({"kind": kind, "head": head, "data": data}).encode()

    with Gate(server.url) as gate:
        gate.answer = other
        where = {"RESONATE_URL": gate.url, "FLEET_STEWARD_URL": NOWHERE}
        where |= {"CLIENT_LOG_FORMAT": "off"}
        done = run_room("fleet", *command, env=where)
    assert done.returncode == 4, done.stderr
    (line,) = done.stderr.splitlines()
    assert gate.url in line
    assert "answers otherwise than server v0.9.8" in line


class Stranger(BaseHTTPRequestHandler):
    """Another program at the steward's address, which has an answer to everything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")

    do_POST = do_GET  # noqa: N815 - the name that the base class looks for

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def stranger() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as served:
        Thread(target=served.serve_forever).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


@pytest.mark.parametrize(
    "command", ["job one", "jobs", "cancel one", "ps", "quarantine list", "top --looks 1"]
)
def test_another_program_in_place_of_a_steward_is_none(
    server: Server, stranger: str, command: str
) -> None:
    post_job(server, "f", id="one")
    env = {"RESONATE_URL": server.url, "FLEET_STEWARD_URL": stranger}
    done = run_room("fleet", *command.split(), env=env)
    assert done.returncode == 0, done.stderr
    assert ("no steward answers" in done.stderr) == command.startswith("cancel")

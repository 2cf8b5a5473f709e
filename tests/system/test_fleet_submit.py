"""`fleet submit` and `fleet result`, each as its user types it."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import pytest

from resonate_fleet.contract.words import TAG_KEY, TAG_NOT_BEFORE, TAG_PRIORITY
from tests.support.fleet import Fleet
from tests.support.processes import ROOT, Processes, clean_env, room_command, run_room
from tests.support.servers import Server, decoded
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

Done = subprocess.CompletedProcess[str]
NOWHERE = "http://127.0.0.1:9"


def submit(server: Server, *args: str, env: Mapping[str, str] | None = None) -> Done:
    quiet = {"CLIENT_LOG_FORMAT": "off"} | dict(env or {})
    return run_room("fleet", "submit", *args, "--server", server.url, env=quiet, timeout=100)


def result(server: Server, *args: str) -> Done:
    return run_room("fleet", "result", *args, "--server", server.url)


def call_of(server: Server, id: str) -> dict[str, object]:
    promise = server.promise(id)
    assert promise is not None
    found: dict[str, object] = decoded(promise["param"])
    return found


def write(file: Path, *lines: object) -> str:
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(file)


def test_without_arguments_a_function_gets_none(server: Server) -> None:
    done = submit(server, "tidy_up")
    assert (done.returncode, done.stderr) == (0, "")
    id_ = done.stdout.strip()
    assert UUID(id_).version == 7
    assert call_of(server, id_) == {"func": "tidy_up", "args": [], "kwargs": {}, "version": 1}


@pytest.mark.parametrize(
    ("typed", "args", "kwargs"),
    [
        ('["cat.png", 200]', ["cat.png", 200], {}),
        ('{"picture": "cat.png"}', [], {"picture": "cat.png"}),
        ("@FILE", [["nested"], None], {}),
        ("-", [1.5], {}),
    ],
)
def test_arguments_come_from_json_a_file_or_standard_input(
    server: Server, tmp_path: Path, typed: str, args: list[object], kwargs: dict[str, object]
) -> None:
    file = tmp_path / "args.json"
    file.write_text('[["nested"], null]')
    asked = typed.replace("FILE", str(file))
    command = [*room_command("fleet"), "submit", "f", "--args", asked, "--id", "one"]
    env = clean_env({"RESONATE_URL": server.url, "CLIENT_LOG_FORMAT": "off"})
    done = subprocess.run(
        command, env=env, input="[1.5]", text=True, capture_output=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    call = call_of(server, "one")
    assert (call["args"], call["kwargs"]) == (args, kwargs)


def test_group_timeout_and_version_are_the_jobs(server: Server) -> None:
    asked = ("--group", "fast", "--timeout", "60", "--version", "2", "--id", "one")
    assert submit(server, "f", *asked).returncode == 0
    promise = server.promise("one")
    assert promise is not None
    assert promise["tags"]["resonate:target"] == "poll://any@fast"
    assert promise["timeoutAt"] - promise["createdAt"] == pytest.approx(60_000, abs=2_000)
    assert call_of(server, "one")["version"] == 2


def test_wait_prints_the_result_and_the_code_says_how_it_ended(
    fleet: Fleet, server: Server
) -> None:
    fleet.worker("w", WORKER_RETRIES="0")
    asked = ("compute_something", "--id", "good", "--args", '["good", 0.1]', "--wait")
    done = submit(server, *asked)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].startswith('good resolved {"id":"good"')
    failed = submit(server, "compute_something", "--id", "bad", "--args", '["bad"]', "--wait", "20")
    assert failed.returncode == 1
    assert "bad rejected" in failed.stdout


def test_wait_has_a_limit(server: Server) -> None:
    done = submit(server, "nobody_has_it", "--id", "one", "--wait", "0.2")
    assert (done.returncode, done.stdout) == (3, "one\none pending\n")


def test_result_reads_and_never_creates(fleet: Fleet, server: Server) -> None:
    done = result(server, "TYPO")
    assert (done.returncode, done.stdout) == (2, "TYPO unknown\n")
    assert server.promise("TYPO") is None
    submit(server, "compute_something", "--id", "one", "--args", '["one", 0.1]')
    assert result(server, "one").returncode == 3
    fleet.worker("w")
    done = result(server, "one", "--wait", "30", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["value"]["id"] == "one"
    assert result(server, "one", "TYPO").returncode == 2


@pytest.mark.parametrize("prefix", ["acme", "acme-"])
def test_ids_that_it_makes_begin_as_tokens_ask(server: Server, tmp_path: Path, prefix: str) -> None:
    file = write(tmp_path / "jobs.jsonl", {"function": "f"}, {"function": "f", "id": "mine"})
    for asked in (("f",), ("f",), ("--jobs", file), ("--jobs", file)):
        done = submit(server, *asked, "--id-prefix", prefix)
        assert done.returncode == 0, done.stderr
    ids = {task["id"] for task in server.tasks("pending")}
    assert len(ids) == 4, "each job is new, and the batch is the same both times"
    assert {id_ for id_ in ids if not id_.startswith("acme-")} == {"mine"}


def test_a_batch_is_created_once_however_often_it_is_sent(server: Server, tmp_path: Path) -> None:
    lines = [
        {"function": "resize", "args": ["a.png", 10]},
        {"function": "resize", "args": ["a.png", 10]},  # the same again is another job
        {"id": "mine", "args": {"width": 1}, "group": "fast", "timeout": 9000, "version": 3,
         "priority": 1, "key": "acme", "not-before": "2h"},
    ]  # fmt: skip
    file = write(tmp_path / "jobs.jsonl", *lines)
    first = submit(server, "--jobs", file, "usual", "--json")
    assert first.returncode == 0, first.stderr
    assert "3 of 3 jobs are confirmed; " in first.stderr
    told = [json.loads(line) for line in first.stdout.splitlines()]
    assert [one["new"] for one in told] == [True] * 3
    assert len({one["id"] for one in told}) == 3
    assert {one["group"] for one in told} == {"worker-group", "fast"}
    call = {"func": "usual", "args": [], "kwargs": {"width": 1}, "version": 3}
    assert call_of(server, "mine") == call
    tags = (server.promise("mine") or {})["tags"]
    assert (tags[TAG_PRIORITY], tags[TAG_KEY]) == ("1", "acme")
    assert float(tags[TAG_NOT_BEFORE]) == pytest.approx(time.time() + 7200, abs=60)
    second = submit(server, "--jobs", file, "usual")
    assert second.returncode == 0
    assert "3 of 3 jobs are confirmed, 3 of them were there before" in second.stderr
    assert {one["id"] for one in told} == set(second.stdout.split())
    assert len(server.tasks("pending")) == 3


def test_calls_that_share_an_id_in_one_file_are_pointed_out(server: Server, tmp_path: Path) -> None:
    """Whichever comes first, and whichever answer is read first."""
    file = tmp_path / "jobs.jsonl"
    lines = [{"function": "f", "id": f"j{n}", "args": [a]} for n in range(5) for a in (1, 2)]
    file.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    done = submit(server, "--jobs", str(file))
    assert done.returncode == 0
    *told, summary = done.stderr.splitlines()
    assert sorted(told) == [
        f"fleet submit: j{n} is given twice, and not the same; one of them counts" for n in range(5)
    ]
    assert "10 of 10 jobs are confirmed, 5 of them were there before, 5 not the same" in summary


def test_a_batch_that_is_broken_off_goes_on_where_it_was(
    durable_fleet: Fleet, processes: Processes, tmp_path: Path
) -> None:
    server = durable_fleet.server
    file = write(tmp_path / "jobs.jsonl", *({"args": [n]} for n in range(300)))
    asked = ("submit", "f", "--jobs", file, "--server", server.url, "--rate", "200")
    for turn in range(2):
        cut = processes.room("fleet", f"cut-{turn}", {"CLIENT_LOG_FORMAT": "off"}, *asked)
        least = 40 * (turn + 1)
        wait_until(lambda n=least: len(server.tasks("pending")) >= n, 20, "some jobs are there")  # type: ignore[misc] # the lambda's default is an int
        cut.kill()
    assert len(server.tasks("pending")) < 300
    done = submit(server, "f", "--jobs", file)
    assert done.returncode == 0
    assert "300 of 300 jobs are confirmed" in done.stderr
    assert len(set(done.stdout.split())) == len(server.tasks("pending")) == 300


def test_a_server_that_goes_in_the_middle_is_one_line_and_exit_4(tmp_path: Path) -> None:
    file = write(tmp_path / "jobs.jsonl", {"function": "f"}, {"function": "f"})
    asked = ("submit", "--jobs", file, "--server", NOWHERE, "--deadline", "0.2")
    done = run_room("fleet", *asked, env={"CLIENT_LOG_FORMAT": "off"})
    assert done.returncode == 4
    assert "0 of 2 jobs are confirmed" in done.stderr
    assert "the same command again submits the rest" in done.stderr


def test_the_memory_of_a_batch_does_not_grow_with_its_lines(server: Server, tmp_path: Path) -> None:
    def peak(count: int) -> int:
        file = write(tmp_path / f"{count}.jsonl", *({"args": ["x" * 2000]} for _ in range(count)))
        code = (
            "import sys\n"
            "from resonate_fleet.commands.main import main\n"
            "code = main(sys.argv[1:])\n"
            "status = open('/proc/self/status').read()\n"
            "print(status.partition('VmHWM:')[2].split()[0], file=sys.stderr)\n"
            "sys.exit(code)"
        )
        asked = ["submit", "f", "--jobs", file, "--server", server.url, "--log-format", "off"]
        done = subprocess.run(
            [sys.executable, "-c", code, *asked],
            env=clean_env(),
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        return int(done.stderr.split()[-1])

    few, many = peak(50), peak(3000)  # 6 MB of arguments
    assert many - few < 3_000


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "Input data was truncated"),
        ('{"func": "f"}', "unknown field `func`"),
        ('{"function": "f", "args": 3}', "Expected `"),
        ('{"args": []}', "no function, and none was named for all"),
        ('{"function": "f", "id": "a:b"}', "id is 'a:b'"),
        ('{"function": "f", "timeout": 0}', "timeout is 0.0"),
        ('{"function": "f", "group": "No Group"}', "group is 'No Group'"),
        ('{"function": "f", "priority": 6}', "priority is 6"),
        ('{"function": "f", "not-before": "soon"}', "not-before is 'soon'"),
        (
            '{"function": "f", "not-before": "2d"}',
            "its timeout 86400 s; accepted: a longer timeout",
        ),
        ('{"function": "f", "not-before": "2h", "timeout": 7200}', "not-before is 7200 s"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_sent(
    server: Server, tmp_path: Path, line: str, says: str
) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text('{"function": "fine"}\n\n' + line + "\n")
    done = submit(server, "--jobs", str(file))
    assert done.returncode == 2
    (told,) = done.stderr.splitlines()
    assert told.startswith(f"fleet submit: --jobs {file}, line 3: ")
    assert says in told
    assert server.tasks("pending") == []


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "FUNCTION is missing"),
        (("f", "--args", "3"), "--args is '3'"),
        (("f", "--args", "@/nowhere"), "No such file"),
        (("f", "--args", '"text"'), "accepted: a JSON array"),
        (("f", "--id", "a:b"), "without `:`"),
        (("f", "--timeout", "never"), "--timeout is 'never'"),
        (("--jobs", "/nowhere"), "No such file"),
        (("--jobs", "/dev/null"), "has no jobs"),
        (("f", "--jobs", "/dev/null", "--args", "[]"), "nothing beside --jobs"),
        (("f", "--wait", "soon"), "a number from 0"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_exit_2(args: tuple[str, ...], says: str) -> None:
    done = run_room("fleet", "submit", *args, "--server", NOWHERE)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr


def test_an_id_that_moves_the_cursor_is_shown_and_does_nothing(server: Server) -> None:
    done = submit(server, "f", "--id", "a\x1b[2Jb")
    assert done.stdout == "a\\x1b[2Jb\n"


def test_a_stream_that_cannot_show_an_id_ends_nothing(server: Server) -> None:
    done = submit(server, "f", "--id", "naïve-✓", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "na\\xefve-\\u2713\n")

"""The `fleet` command as it is typed: help, mistakes, completion, output that nobody reads."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from resonate_fleet.commands.command_table import COMMANDS
from tests.support.processes import ROOT, clean_env, room_command, run_room

pytestmark = pytest.mark.system

NAMES = list(COMMANDS)


def complete(line: str) -> list[str]:
    """Return what a shell is offered after `line`."""
    env = clean_env(
        {
            "_ARGCOMPLETE": "1",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
            "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout",
        }
    )
    done = subprocess.run(
        room_command("fleet"), env=env, capture_output=True, text=True, check=True, cwd=ROOT
    )
    return [word.strip() for word in done.stdout.splitlines()]


@pytest.mark.parametrize("typed", [(), ("help",), ("--help",), ("-h",)])
def test_the_list_of_all_commands_is_printed_and_grouped(typed: tuple[str, ...]) -> None:
    done = run_room("fleet", *typed)
    assert (done.returncode, done.stderr) == (0, "")
    for name in NAMES:
        assert f"\n  fleet {name} " in done.stdout
    for title in ("See", "Operate", "Prove"):
        assert f"\n{title}:\n" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 100


@pytest.mark.parametrize(("typed", "meant"), [("qarantine", "quarantine"), ("benhc", "bench")])
def test_a_wrong_command_prints_the_list_and_what_may_be_meant(typed: str, meant: str) -> None:
    done = run_room("fleet", typed)
    assert done.returncode == 2
    assert done.stdout == ""
    says = f"fleet: there is no command {typed!r}; did you mean `fleet {meant}`?"
    assert done.stderr.splitlines()[-1] == says
    assert "fleet quarantine" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself_and_refuses_what_it_does_not_know(name: str) -> None:
    shown = run_room("fleet", *name.split(), "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"usage: fleet {name}")
    assert run_room("fleet", "help", *name.split()).stdout == shown.stdout
    refused = run_room("fleet", *name.split(), "--frobnicate")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert f"`fleet {name} --help` says more" in refused.stderr


@pytest.mark.parametrize("room", ["worker", "client", "steward", "server", "chaos", "report"])
def test_the_rooms_explain_themselves_as_modules_too(room: str) -> None:
    shown = run_room(room, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("usage: ")
    refused = run_room(room, "--frobnicate")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", ["chaos run", "chaos replay", "quarantine redrive"])
def test_subcommands_name_themselves_in_full(path: str) -> None:
    shown = run_room("fleet", *path.split(), "--help").stdout
    assert shown.startswith(f"usage: fleet {path} ")


def test_an_empty_reason_is_refused() -> None:
    refused = run_room("fleet", "cancel", "order-17", "--why", " ")
    assert refused.returncode == 2
    assert "accepted: a reason that is not empty" in refused.stderr


@pytest.mark.parametrize("typed", ["version", "--version"])
def test_the_version_is_printed(typed: str) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", run_room("fleet", typed).stdout)


@pytest.mark.parametrize(
    ("room", "given", "nearest"),
    [
        ("worker", "WORKER_SLOT", "WORKER_SLOTS"),
        ("steward", "STEWARD_GROUP", "STEWARD_GROUPS"),
        ("client", "CLIENT_TIMEOUTS", "CLIENT_TIMEOUT"),
        ("server", "DEVSERVER_LOGFORMAT", "DEVSERVER_LOG_FORMAT"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_nearest_name(
    room: str, given: str, nearest: str
) -> None:
    done = run_room(room, env={given: "1"})
    assert done.returncode == 2
    says = f"{room}: {given} is set, and there is no such setting; accepted: {nearest}\n"
    assert done.stderr == says


def test_an_option_wins_over_its_variable_and_is_named_when_wrong() -> None:
    done = run_room("worker", "--slots", "many", env={"WORKER_SLOTS": "2", "WORKER_LEASE": "0"})
    assert done.returncode == 2
    assert [line.split(" is ")[0] for line in done.stderr.splitlines()] == [
        "worker: --slots",
        "worker: WORKER_LEASE",
    ]


@pytest.mark.parametrize(
    "typed",
    [
        ("demo", "--runs", "/proc/x"),
        ("demo", "--json", "/nonexistent/x"),
        ("up", "--runs", "/proc/x/y"),
        ("up", "--store", "/nonexistent/store.db"),
        ("bench", "--json", "/nonexistent/x"),
        ("chaos", "run", "one-kill", "--runs", "/proc/x"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_runs(typed: tuple[str, ...]) -> None:
    done = run_room("fleet", *typed)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert f"{typed[-2]} is {typed[-1]!r}: No such file or directory; accepted: a f" in done.stderr


@pytest.mark.parametrize("typed", [("demo",), ("chaos", "run", "one-kill")])
def test_a_working_directory_that_cannot_be_written_is_refused_too(typed: tuple[str, ...]) -> None:
    """Where nobody names a folder, as in a container with a read-only root."""
    command = [*room_command("fleet"), *typed]
    done = subprocess.run(
        command, env=clean_env(), capture_output=True, text=True, check=False, cwd="/proc"
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"fleet {typed[0]}")
    assert "--runs is 'runs': No such file or directory; accepted: a folder" in done.stderr


def test_an_argument_that_is_no_utf_8_is_refused() -> None:
    command = [*map(os.fsencode, room_command("client")), b"--id", b"caf\xe9"]
    done = subprocess.run(command, env=clean_env(), capture_output=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == b"client: an argument is b'caf\\xe9'; accepted: UTF-8\n"


def test_output_that_nobody_reads_ends_the_command(tmp_path: Path) -> None:
    line = f"{sys.executable} -m resonate_fleet help; echo $? > {tmp_path}/code"
    pipe = ["bash", "-c", f"({line}) | true"]
    done = subprocess.run(pipe, env=clean_env(), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert (tmp_path / "code").read_text() in ("0\n", "141\n")


def test_a_shell_completes_commands_options_and_choices() -> None:
    assert {name.split()[0] for name in NAMES} <= set(complete("fleet "))
    assert complete("fleet quar") == complete("fleet help quar") == ["quarantine"]
    assert "redrive" in complete("fleet quarantine ")
    assert "--slots" in complete("fleet worker --sl")
    assert "compose" in complete("fleet chaos run --on ")
    assert "parked" in complete("fleet jobs --state ")
    assert complete("fleet worker --log-format=j") == ["--log-format=json"]
    assert complete("fleet submit --connections ") == complete("fleet up --workers ") == []
    assert "README.md" in complete("fleet steward --policy ")
    assert "README.md" in complete("fleet submit --jobs ")
    assert sorted(complete("fleet bench s")) == ["searches", "simulated", "store"]
    assert "--finished" in complete("fleet bench store --")
    assert complete("fleet chaos run one-") == ["one-kill"]


def test_completion_is_printed_for_a_shell() -> None:
    assert "complete" in run_room("fleet", "completion", "bash").stdout


@pytest.mark.parametrize("name", ["help", "version", "worker"])
def test_a_command_imports_no_more_than_it_needs(name: str) -> None:
    """Each of these costs more than the rest of such a start."""
    code = (
        "import sys; sys.argv = ['fleet', sys.argv[1], '--help']\n"
        "from resonate_fleet.commands.main import main\n"
        "try: main()\n"
        "finally: print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, name], capture_output=True, text=True, cwd=ROOT, check=False
    )
    slow = {"aiohttp", "asyncio", "structlog", "rich", "prometheus_client", "resonate"}
    slow |= {"argcomplete", "difflib", "msgspec"}
    assert not slow & set(done.stdout.split())


@pytest.mark.parametrize(
    ("typed", "option", "setting"),
    [
        (("steward", "--presence-port", "0"), "--port", "STEWARD_PORT"),
        (("steward", "--port", "0"), "--presence-port", "STEWARD_PRESENCE_PORT"),
        (("server", "--metrics-port", "0"), "--port", "RESONATE_SERVER__PORT"),
        (("server", "--port", "0"), "--metrics-port", "RESONATE_OBSERVABILITY__METRICS_PORT"),
    ],
)
def test_a_taken_port_is_one_line_that_names_the_setting(
    typed: tuple[str, ...], option: str, setting: str
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 - where they listen
        port = str(taken.getsockname()[1])
        done = run_room("fleet", *typed, option, port)
    assert done.returncode == 4
    says = f"fleet {typed[0]}: {setting} is {port}, which is taken; accepted: a port that is free"
    assert done.stderr.splitlines()[-1] == says


@pytest.mark.parametrize(
    ("typed", "env", "says"),
    [
        (("submit", "f"), {"CLIENT_JOURNAL": "/proc/x"}, "CLIENT_JOURNAL is '/proc/x'"),
        (("worker", "--port", "0"), {"WORKER_JOURNAL": "/proc/x"}, "WORKER_JOURNAL is '/proc/x'"),
        (("server", "--store", "/"), {}, "is '/': Is a directory"),
        (("server", "--store", __file__, "--port", "0"), {}, "file is not a database; accepted: "),
        (("up", "--store", __file__), {}, "file is not a database; accepted: a file that can"),
        (("bench", "idle", "--server-bin", "/nowhere"), {}, "--server-bin is '/nowhere'"),
        (("bench", "history"), {}, "bench: history needs --store; `fleet bench store` prepares"),
        (("bench", "searches", "--store", "/nowhere"), {}, "--store is '/nowhere'; accepted: a"),
        (("chaos", "plan", "one-kill"), {"RESONATE_SERVER_BIN": "/etc"}, "is '/etc'; accepted: a"),
        (("up", "--workers", "1", "--functions", "no_such"), {}, "WORKER_FUNCTIONS is 'no_such'"),
        (("up", "--workers", "1", "--policy", "/nowhere"), {}, "/nowhere: No such file or dir"),
        (("ps",), {"FLEET_STEWARD_URL": "nowhere"}, "FLEET_STEWARD_URL is 'nowhere'"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_2(
    typed: tuple[str, ...], env: dict[str, str], says: str
) -> None:
    done = run_room("fleet", *typed, env=env, timeout=60)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert says in done.stderr.splitlines()[-1]

"""Each command about jobs where it has no rights, or where no server answers: one line, exit 4."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.gate import Gate
from tests.support.jobs import post_job
from tests.support.processes import run_room
from tests.support.servers import Server

pytestmark = pytest.mark.system
NOWHERE = "http://127.0.0.1:9"


def commands(job: str, file: Path) -> list[tuple[str, ...]]:
    file.write_text('{"function": "f", "id": "from-file"}\n')
    return [
        ("submit", "f", "--id", "typed", "--deadline", "1"),
        ("submit", "--jobs", str(file), "--deadline", "1"),
        ("result", job),
        ("job", job),
        ("jobs",),
        ("jobs", "--store"),
        ("cancel", job),
        ("cancel", "--all", "--function", "f"),
        ("rerun", job),
        ("rerun", "--failed", "--since", "1h"),
        ("schedule", "add", "each-hour", "0 * * * *", "f"),
        ("schedule", "list"),
        ("schedule", "show", "each-hour"),
        ("schedule", "remove", "each-hour"),
        ("quarantine", "list"),
        ("quarantine", "redrive", job),
        ("quarantine", "reject", job, "--why", "test"),
    ]


def run(command: tuple[str, ...], url: str) -> CompletedProcess[str]:
    known = command[0] in ("job", "jobs", "cancel", "rerun")
    where = ("--server", url, *(("--steward", NOWHERE) if known else ()))
    return run_room("fleet", *command, *where, env={"CLIENT_LOG_FORMAT": "off"}, timeout=60)


def refuse_all(made: list[tuple[str, ...]], url: str, says: str) -> None:
    with ThreadPoolExecutor(4) as some:
        for command, done in zip(made, some.map(lambda one: run(one, url), made), strict=True):
            assert done.returncode == 4, (command, done.stderr)
            told = done.stderr.splitlines()
            told = [one for one in told if "jobs are confirmed" not in one]
            assert len(told) == 1, (command, done.stderr)
            assert says in told[0], (command, told)


@pytest.mark.parametrize("status", [401, 403])
def test_without_rights_each_says_so_and_changes_nothing(
    server: Server, tmp_path: Path, status: int
) -> None:
    job = post_job(server, "f")
    before = (server.promise(job), server.tasks("pending"))

    def refused(kind: str, request: dict[str, dict[str, str]]) -> tuple[int, bytes]:
        head = {"corrId": request["head"]["corrId"], "status": status, "version": "2026-04-01"}
        body = {"kind": kind, "head": head, "data": "no rights"}
        return status, json.dumps(body).encode()

    with Gate(server.url) as gate:
        gate.answer = refused
        refuse_all(commands(job, tmp_path / "jobs.jsonl"), gate.url, str(status))
    assert (server.promise(job), server.tasks("pending")) == before
    assert server.call("schedule.search", limit=10)[1]["schedules"] == []


def test_with_the_server_away_each_says_so(tmp_path: Path) -> None:
    refuse_all(commands("a", tmp_path / "jobs.jsonl"), NOWHERE, NOWHERE)

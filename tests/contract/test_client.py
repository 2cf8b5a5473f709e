"""What the client does on the wire, as a process of its own."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from resonate.resonate import Resonate

from resonate_fleet.contract.calls import Call
from resonate_fleet.contract.ids import new_id
from resonate_fleet.contract.journal import ClientEnded, Confirmed
from resonate_fleet.contract.settings import load
from resonate_fleet.submit.load import Job
from resonate_fleet.submit.settings import ClientSettings
from resonate_fleet.submit.submit import Confirmation, GaveUp, Observer, Submission
from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.processes import ROOT, clean_env, room_command, run_room
from tests.support.servers import Server, decoded
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

NOWHERE = "http://127.0.0.1:9"


def test_the_promise_is_as_the_sdk_would_have_made_it(fleet: Fleet, server: Server) -> None:
    (job,) = fleet.submit("--cost", "2", "--timeout", "60")
    promise = server.promise(job)
    assert promise is not None
    who = fleet.journal_of(Confirmed)[0].who
    assert promise["tags"] == {
        "resonate:origin": job,
        "resonate:branch": job,
        "resonate:parent": job,
        "resonate:scope": "global",
        "resonate:target": "poll://any@worker-group",
        "fleet:client": who,
    }
    call = {"func": "compute_something", "args": [job, 2.0], "kwargs": {}, "version": 1}
    assert decoded(promise["param"]) == call
    assert promise["timeoutAt"] - promise["createdAt"] == pytest.approx(60_000, abs=2_000)
    assert (server.task(job) or {})["state"] == "pending"


async def test_the_sdk_would_have_asked_for_the_very_same_promise(
    fleet: Fleet, server: Server
) -> None:
    resonate = Resonate(url=server.url, group="clients")
    try:
        call = resonate.options(target="worker-group")
        await call.rpc("theirs", "compute_something", "theirs", 2.0).id()
    finally:
        await resonate.stop()
    await asyncio.to_thread(fleet.submit, "--id", "ours", "--cost", "2")
    theirs, ours = server.promise("theirs"), server.promise("ours")
    assert theirs is not None
    assert ours is not None
    assert ours["tags"].pop("fleet:client")
    assert as_text(ours["tags"]) == as_text(theirs["tags"])
    assert as_text(decoded(ours["param"])) == as_text(decoded(theirs["param"]))
    life = theirs["timeoutAt"] - theirs["createdAt"]
    assert ours["timeoutAt"] - ours["createdAt"] == pytest.approx(life, abs=5_000)


def as_text(value: object) -> str:
    """The value's JSON with both jobs called the same."""
    return json.dumps(value, sort_keys=True).replace("theirs", "ours")


def test_whoever_stops_reading_the_ids_does_not_stop_the_jobs(fleet: Fleet) -> None:
    client = [*room_command("client"), "--count", "200"]
    env = clean_env({"RESONATE_URL": fleet.server.url, "CLIENT_LOG_FORMAT": "off"})
    process = subprocess.Popen(
        client, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 0
    assert len(fleet.server.tasks("pending")) == 200


def test_a_token_that_expires_amid_a_submission_is_read_again(fleet: Fleet, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text('{"function": "f"}\n' * 3)
    asked = {"promise.create": 0, "promise.get": 0}

    def expire(kind: str, request: dict[str, dict[str, str]]) -> tuple[int, bytes] | None:
        """Refuse the second request of each kind; the next token is in the file by then."""
        asked[kind] += request["data"]["id"] != "what-time-is-it"
        if asked[kind] != 2:
            return None
        asked[kind] += 1
        token.write_text(f"after-{kind}")
        body = {"kind": kind, "head": {"status": 401}, "data": "Unauthorized"}
        return 401, json.dumps(body).encode()

    env = {"RESONATE_TOKEN_FILE": str(token), "CLIENT_CONNECTIONS": "1"}
    with Gate(fleet.server.url) as gate:
        gate.answer = expire
        env["RESONATE_URL"] = gate.url
        done = run_room("fleet", "submit", "--jobs", str(jobs), "--wait", "0", env=env)
    assert done.returncode == 3, done.stderr  # nobody runs the jobs
    assert len(fleet.server.tasks("pending")) == 3
    assert gate.tokens[-1] == "after-promise.get"


def test_a_token_that_was_never_taken_is_refused_at_once(fleet: Fleet, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("wrong")
    env = {"RESONATE_TOKEN_FILE": str(token), "CLIENT_DEADLINE": "60"}
    body = {"kind": "promise.create", "head": {"status": 401}, "data": "Unauthorized"}
    with Gate(fleet.server.url) as gate:
        gate.answer = lambda _kind, _request: (401, json.dumps(body).encode())
        done = run_room("client", "--count", "1", env={"RESONATE_URL": gate.url, **env})
    assert done.returncode == 4
    assert "401 Unauthorized" in done.stderr


def test_a_one_shot_client_imports_nothing_that_is_slow() -> None:
    """Each of these costs more than the rest of the client; together they are most of 1 s."""
    code = "import sys, resonate_fleet.submit.command; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    slow = {"aiohttp", "asyncio", "structlog", "rich", "prometheus_client", "resonate"}
    assert not slow & set(done.stdout.split())


def test_a_wrong_option_is_named_and_nothing_is_sent(fleet: Fleet) -> None:
    done = fleet.client("--count", "0", "--cost", "much", CLIENT_LOG_FORMAT="off")
    assert done.returncode == 2
    assert [line.split(" is ")[0] for line in done.stderr.splitlines()] == [
        "client: --count",
        "client: --cost",
    ]
    assert fleet.server.tasks("pending") == []


def test_metrics_are_served_while_it_runs_where_asked(fleet: Fleet) -> None:
    client = fleet.start_client("client", "--count", "40", "--rate", "20", CLIENT_PORT="0")
    port = client.line("metrics.served")["port"]

    def confirmed() -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        (line,) = [one for one in lines if one.startswith("fleet_client_jobs_confirmed_total")]
        return float(line.split()[1])

    wait_until(lambda: confirmed() >= 5, 10, "five confirmed jobs are counted")
    assert client.wait(20) == 0


def test_a_job_that_fails_shows_with_wait(fleet: Fleet, server: Server) -> None:
    client = fleet.start_client("client", "--id", "doomed", "--wait", "--json")
    wait_until(lambda: server.task("doomed"), 10, "the job is there")
    server.call("promise.settle", id="doomed", state="rejected", value={})
    assert client.wait(10) == 1
    ended = json.loads(client.out.read_text().splitlines()[-1])
    assert ended == {"action": "ended", "id": "doomed", "state": "rejected", "value": None}


def test_it_exits_at_once_with_the_ids_and_without_results(fleet: Fleet, server: Server) -> None:
    done = fleet.client("--count", "12", "--cost", "600")
    ids = done.stdout.split()
    assert done.returncode == 0
    assert len(set(ids)) == 12
    assert {task["id"] for task in server.tasks("pending")} == set(ids)
    assert sorted(line.job for line in fleet.journal_of(Confirmed)) == sorted(ids)
    (ended,) = fleet.journal_of(ClientEnded)
    assert (ended.confirmed, ended.unconfirmed) == (12, 0)


def test_the_same_ids_again_create_nothing(fleet: Fleet, server: Server) -> None:
    asked = ("--count", "5", "--id-prefix", "again", "--seed", "3", "--json")
    first, second = fleet.client(*asked), fleet.client(*asked)
    assert [json.loads(line)["new"] for line in first.stdout.splitlines()] == [True] * 5
    assert [json.loads(line)["new"] for line in second.stdout.splitlines()] == [False] * 5
    assert "another" not in second.stderr
    assert len(server.tasks("pending")) == 5


def test_an_id_that_stands_for_another_call_is_pointed_out(fleet: Fleet) -> None:
    fleet.submit("--id", "taken", "--cost", "1")
    done = fleet.client("--id", "taken", "--cost", "2")
    assert done.returncode == 0
    assert "taken was there already, with another call" in done.stderr
    done = fleet.client("--id", "taken", "--cost", "1", "--group", "other")
    assert "taken was there already, with another call, group," in done.stderr


def test_no_server_ends_in_one_line_and_exit_4_at_the_deadline() -> None:
    env = {"RESONATE_URL": NOWHERE, "CLIENT_LOG_FORMAT": "off"}
    began = time.monotonic()
    done = run_room("client", "--id", "a", "--id", "b", "--deadline", "0.5", env=env)
    assert done.returncode == 4
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"client: 2 not confirmed: {NOWHERE} cannot be reached:")
    assert done.stderr.rstrip().endswith(": a b")
    assert 0.5 <= time.monotonic() - began < 5


def test_what_was_confirmed_before_the_server_went_is_printed(fleet: Fleet, server: Server) -> None:
    asked = ("--count", "100", "--rate", "50", "--deadline", "0.5", "--json")
    client = fleet.start_client("client", *asked)
    wait_until(lambda: len(client.out.read_text().splitlines()) >= 5, 10, "5 ids are printed")
    server.kill()
    assert client.wait() == 4
    lines = [json.loads(line) for line in client.out.read_text().splitlines()]
    confirmed = [line["id"] for line in lines if line["action"] == "confirmed"]
    unconfirmed = [line["id"] for line in lines if line["action"] == "unconfirmed"]
    assert len(confirmed) >= 5
    assert len(set(confirmed) | set(unconfirmed)) == 100
    assert confirmed == [line.job for line in fleet.journal_of(Confirmed)]


def test_a_gap_of_the_server_is_ridden_out(durable_fleet: Fleet) -> None:
    fleet, server = durable_fleet, durable_fleet.server
    client = fleet.start_client("client", "--count", "40", "--rate", "20", "--deadline", "20")
    wait_until(lambda: len(client.out.read_text().splitlines()) >= 5, 10, "5 ids are printed")
    server.kill()
    wait_until(lambda: client.lines("server.lost"), 10, "the client misses the server")
    server.start()
    assert client.wait(30) == 0
    ids = client.out.read_text().split()
    assert len(ids) == len(set(ids)) == 40
    assert {task["id"] for task in server.tasks("pending")} == set(ids)
    assert client.lines("server.lost")
    assert client.lines("server.back")


class Counted(Observer):
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def confirmed(self, confirmation: Confirmation) -> None:
        self.seconds.append(confirmation.seconds)


def test_a_refusal_is_final(server: Server) -> None:
    settings = load(ClientSettings, {"RESONATE_URL": server.url, "CLIENT_CONNECTIONS": "1"})
    jobs = [Job(id_, Call(func="f"), None) for id_ in ("good", "", "late")]
    counted = Counted()
    submission = Submission(jobs, settings, "me", [counted])
    with pytest.raises(GaveUp, match=r"the server refused : promise\.create: 400"):
        submission.run(len(jobs))
    assert [job.id for job in submission.unconfirmed()] == ["", "late"]
    assert len(counted.seconds) == 1


def test_one_call_takes_a_few_milliseconds(server: Server) -> None:
    settings = load(ClientSettings, {"RESONATE_URL": server.url, "CLIENT_CONNECTIONS": "1"})
    jobs = [Job(new_id(), Call(func="f"), None) for _ in range(100)]
    counted = Counted()
    Submission(jobs, settings, "me", [counted]).run(len(jobs))
    # The goal is 3 ms in the middle on a quiet machine (docs/measurements); a shared one has its
    # quiet moments too, and what the client itself costs shows in them.
    assert sorted(counted.seconds)[len(jobs) // 10] <= 0.010

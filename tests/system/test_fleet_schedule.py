"""`fleet schedule` as its user types it, and what a server makes of the runs that it missed."""

import json
import time
from typing import Any

import pytest

from tests.support.fleet import Fleet
from tests.support.gate import Gate
from tests.support.processes import Processes, free_port, run_room
from tests.support.servers import Server, decoded
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

ADD = ("add", "tick", "* * * * * *", "compute_something", "--args", '["tick", 0.01]')


def schedule(server: Server, *args: str) -> str:
    """Run a command that must succeed; return what it printed."""
    done = run_room("fleet", "schedule", *args, "--server", server.url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*args: str, code: int = 2) -> str:
    """Run a command that must fail; return its one line."""
    done = run_room("fleet", "schedule", *args)
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def runs(server: Server) -> list[dict[str, Any]]:
    """Return the promises of all runs of `tick`."""
    _, page = server.call("promise.search", tags={"resonate:schedule": "tick"}, limit=1000)
    return list(page["promises"])


def test_a_schedule_is_added_shown_run_and_removed(fleet: Fleet, server: Server) -> None:
    fleet.worker("w")
    assert "runs next at" in schedule(server, *ADD)
    (shown,) = json.loads(schedule(server, "list", "--json"))
    assert (shown["id"], shown["function"], shown["args"]) == (
        "tick",
        "compute_something",
        ["tick", 0.01],
    )
    assert "tick" in schedule(server, "list")

    def done() -> list[dict[str, Any]]:
        return [one for one in runs(server) if one["state"] == "resolved"]

    first = wait_until(lambda: done()[:2], 20, "two runs are done")[0]
    assert decoded(first["value"])["id"] == "tick"
    assert first["id"].startswith("tick-")
    seen = schedule(server, "show", "tick")
    assert 'arguments  ["tick",0.01]' in seen
    assert json.loads(schedule(server, "show", "tick", "--json"))["last"] is not None
    schedule(server, "remove", "tick")
    assert "there are no schedules" in schedule(server, "list")


def test_adding_again_is_the_same_and_something_else_is_refused(server: Server) -> None:
    policy = ("--priority", "1", "--key", "acme")
    schedule(server, *ADD, *policy)
    schedule(server, *ADD, *policy)
    assert "fleet:key=acme" in schedule(server, "show", "tick")
    assert "differs" in refused(*ADD, *policy[:2], "--server", server.url)
    done = run_room("fleet", "schedule", *ADD, "--timeout", "5", "--server", server.url)
    assert (done.returncode, "differs" in done.stderr) == (2, True)
    assert json.loads(schedule(server, "show", "tick", "--json"))["timeout"] == 86_400


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("add", "s", "61 * * * *", "f"), "CRON is '61 * * * *'; accepted: five fields"),
        (("add", "s", "*/4294967296 * * * *", "f"), "accepted: five fields"),
        (("add", "s", "0 0 0 1 1 * 2020", "f"), "finds no time for"),
        (
            ("add", "s", "* * * * *", "f", "--job-id", "same"),
            "accepted: a text with {{.timestamp}}",
        ),
        (("add", "a:b", "* * * * *", "f"), "ID is 'a:b'"),
        (("add", "s", "* * * * *", "f", "--args", "{"), "--args is '{'"),
        (("add", "s", "* * * * *", "f", "--args", "3"), "accepted: a JSON array"),
        (("add", "s", "* * * * *", "f", "--args", "@/nowhere"), "No such file"),
        (("add", "s", "* * * * *", "f", "--server", "nowhere"), "--server is 'nowhere'"),
        (("show",), "required: ID"),
        (("drop", "s"), "is 'drop'; accepted: 'add', 'list'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(args: tuple[str, ...], says: str) -> None:
    assert says in refused(*args)


def test_an_expression_that_only_the_server_reads_is_shown(server: Server) -> None:
    schedule(server, *ADD)
    _, found = server.call("schedule.get", id="tick")
    found["schedule"]["cron"] = "0 9 L * *"

    def answer(kind: str, _: dict[str, Any]) -> tuple[int, bytes]:
        return 200, json.dumps({"kind": kind, "head": {"status": 200}, "data": found}).encode()

    with Gate(server.url) as gate:
        gate.answer = answer
        done = run_room("fleet", "schedule", "show", "tick", "--server", gate.url)
    assert done.returncode == 0, done.stderr
    assert "0 9 L * * (UTC)" in done.stdout
    assert "next run" in done.stdout


def test_an_unknown_id_changes_nothing(server: Server) -> None:
    schedule(server, *ADD)
    for action in ("show", "remove"):
        line = refused(action, "other", "--server", server.url)
        assert "there is no schedule 'other'" in line
    assert "tick" in schedule(server, "list")


def test_a_server_away_is_one_line() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for args in (ADD, ("list",), ("show", "a"), ("remove", "a")):
        assert f"{url} cannot be reached" in refused(*args, "--server", url, code=4)


def test_missed_runs_are_made_up_one_by_one(
    durable_server: Server,
) -> None:
    """The server creates the job of each missed run; what timed out meanwhile is born so."""
    server = durable_server
    schedule(server, *ADD, "--timeout", "1")
    created = json.loads(schedule(server, "show", "tick", "--json"))["created"]
    server.kill()
    away = time.time()
    wait_until(lambda: time.time() > away + 5, 10, "the outage has lasted five seconds")
    server.start()
    missed = {f"tick-{second * 1000}" for second in range(int(created) + 1, int(away) + 4)}

    def made() -> dict[str, str]:
        return {one["id"]: one["state"] for one in runs(server)}

    wait_until(lambda: missed <= made().keys(), 30, "every missed run has its job")
    late = [made()[f"tick-{second * 1000}"] for second in range(int(away) + 1, int(away) + 3)]
    assert late == ["rejected_timedout"] * 2


def test_no_rights_are_one_line(processes: Processes) -> None:
    server = Server("embedded", processes, env={"DEVSERVER_FORBID_SEARCH": "true"})
    assert "403" in refused("list", "--server", server.url, code=4)

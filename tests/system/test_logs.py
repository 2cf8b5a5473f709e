"""Every line of a system run is one JSON object with the promised fields; secrets stay hidden."""

import json
import re
from typing import Any

import msgspec
import pytest

from resonate_fleet.contract import journal
from tests.support.fleet import Fleet
from tests.support.processes import Process
from tests.support.prometheus import all_done
from tests.support.recovery import steward_address
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

ACTION = re.compile(r"[a-z0-9]+([.-][a-zA-Z0-9_-]+)*(\.[a-zA-Z0-9_-]+)*")
LEVELS = {"debug", "info", "warning", "error", "critical"}
SECRET = "very-secret-token"
#: Fields of each line of the journal, as docs/logs.md has them.
FIELDS = {
    kind.__struct_config__.tag: {field.encode_name for field in msgspec.structs.fields(kind)}
    for kind in journal.KINDS
}
#: A member's lines name its group, whatever they tell.
EVERYWHERE = {"level", "action", "group"}


def lines_of(process: Process) -> list[dict[str, Any]]:
    """Return every line that a process has logged; any line that is no JSON object fails."""
    found = []
    for number, raw in enumerate(process.err.read_text().splitlines(), start=1):
        line = json.loads(raw)
        assert isinstance(line, dict), f"{process.name}:{number}: {raw}"
        found.append(line)
    return found


def check(process: Process, line: dict[str, Any]) -> None:
    where = f"{process.name}: {line}"
    assert list(line)[:4] == ["at", "level", "action", "who"], where
    assert isinstance(line["at"], float), where
    assert line["level"] in LEVELS, where
    assert ACTION.fullmatch(line["action"]), where
    assert line["who"], where
    if line["action"] in FIELDS:
        assert set(line) | EVERYWHERE == FIELDS[line["action"]] | EVERYWHERE, where


@pytest.mark.timeout(120)
def test_every_line_of_a_run_is_as_promised(fleet: Fleet) -> None:
    steward = fleet.steward(RESONATE_TOKEN=SECRET)
    settings: dict[str, str] = {
        "WORKER_STEWARD": steward_address(steward),
        "RESONATE_TOKEN": SECRET,
    }
    workers = [fleet.worker(f"w{n}", ready=True, **settings) for n in range(2)]
    client = fleet.start_client("client", "--count", "10", "--cost", "0.4", RESONATE_TOKEN=SECRET)
    assert client.wait(30) == 0
    jobs = [line["job"] for line in client.lines("job.confirmed")]
    wait_until(lambda: workers[0].lines("job.claimed"), 20, "the first worker to hold a job")
    workers[0].kill()
    wait_until(lambda: all_done(fleet, jobs), 40, "10 jobs to end")
    workers[1].terminate()
    assert workers[1].wait(30) == 0
    steward.terminate()
    assert steward.wait(30) == 0

    assert fleet.server.process is not None
    known = {kind.__struct_config__.tag for kind in journal.KINDS}
    seen: set[str] = set()
    for process in (*workers, steward, client):
        lines = lines_of(process)
        assert lines[0]["action"] == "settings", process.name
        assert lines[0]["RESONATE_TOKEN"] == "(hidden)"
        assert SECRET not in process.err.read_text()
        for line in lines:
            check(process, line)
        seen |= {line["action"] for line in lines}
        told = list(journal.read(process.err.read_bytes().splitlines(), process.name))
        assert not [one for one in told if isinstance(one, journal.BadLine)]
    assert {
        "member.started", "member.ready", "job.claimed", "job.ended", "drain.step",
        "member.stopped", "client.started", "job.confirmed", "client.ended", "steward.started",
        "member.joined", "member.died", "lease.handed-over", "member.left",
    } <= seen & known  # fmt: skip
    assert all(line["group"] == "worker-group" for w in workers for line in lines_of(w))
    ended = [line for w in workers for line in w.lines("job.ended")]
    assert {"job", "task", "attempt", "function", "outcome", "seconds"} <= set(ended[0])

"""Other SDKs meet ours: the published TypeScript SDK as a worker and as a client.

docs/wire-contract.md says what both sides rely on.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from resonate_fleet.contract.journal import Ended
from tests.support.fleet import Fleet
from tests.support.processes import Process, clean_env
from tests.support.services import need
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.node]

SCRIPTS = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts and the SDK that they import, as npm installs it."""
    need(bool(shutil.which("node") and shutil.which("npm")), "Node.js and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    for path in SCRIPTS.iterdir():
        shutil.copy(path, folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(
        command, cwd=folder, env=clean_env(), capture_output=True, text=True, check=False
    )
    need(done.returncode == 0, f"npm could not install the SDK: {done.stderr.strip()[-300:]}")
    return folder


def typescript_worker(fleet: Fleet, node: Path, group: str) -> Process:
    command = ["node", str(node / "worker.mjs"), group]
    process = fleet.processes.start("typescript", command, {"RESONATE_URL": fleet.server.url})
    process.line("ready", timeout=30)
    return process


def typescript_call(fleet: Fleet, node: Path, job: str, name: str, *args: object) -> Any:
    """Call a function of our workers' group by name; return what the TypeScript client got."""
    command = ["node", "client.mjs", "worker-group", job, name, json.dumps(args)]
    env = clean_env({"RESONATE_URL": fleet.server.url})
    done = subprocess.run(
        command, cwd=node, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("function", ["compute_something", "compute_durably"])
def test_a_typescript_worker_takes_our_clients_jobs(
    fleet: Fleet, node: Path, function: str
) -> None:
    typescript_worker(fleet, node, "typescript")
    asked = ("--group", "typescript", "--function", function, "--cost", "0.2", "--count", "3")
    done = fleet.client(*asked, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    results = {line["id"]: line["value"] for line in lines if line["action"] == "ended"}
    assert len(results) == 3
    for job, result in results.items():
        assert result == {"id": job, "cost": 0.2, "by": "typescript"}


def test_an_error_of_a_typescript_worker_reaches_our_client(fleet: Fleet, node: Path) -> None:
    typescript_worker(fleet, node, "typescript")
    asked = ("--group", "typescript", "--function", "fail", "--args", "[]", "--timeout", "6")
    done = fleet.client(*asked, "--wait", "--json")
    assert done.returncode == 1
    ended = json.loads(done.stdout.splitlines()[-1])
    assert (ended["state"], ended["value"]["message"]) == ("rejected", "as asked")


def test_a_typescript_client_calls_our_worker(fleet: Fleet, node: Path) -> None:
    worker = fleet.worker("python")
    result = typescript_call(fleet, node, "from-node", "compute_something", "from-node", 0.2)[
        "result"
    ]
    assert (result["id"], result["cost"]) == ("from-node", 0.2)
    assert (result["member"], result["attempt"]) == (fleet.member(worker), 1)
    # The server answers the client before the member.
    (ended,) = wait_until(lambda: fleet.journal_of(Ended), 10, "the member has written the end")
    assert (ended.job, ended.outcome) == ("from-node", "resolved")


def test_an_error_of_our_worker_reaches_a_typescript_client(fleet: Fleet, node: Path) -> None:
    fleet.worker("python")
    said = typescript_call(fleet, node, "misfit", "compute_something", "one", 2, "three too many")
    assert "compute_something" in said["error"]

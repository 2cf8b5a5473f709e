"""What functions may do to their worker, and what a caller may send it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.journal import Claimed, Ended, Retried
from tests.support.fleet import Fleet
from tests.support.jobs import post_job
from tests.support.pages import metrics
from tests.support.processes import Process, Processes, run_room
from tests.support.servers import Server, kinds
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
AWKWARD = "tests.support.awkward"


@pytest.fixture(scope="module", params=kinds())
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """One server and one worker for all tests here: each looks at its own job."""
    folder = tmp_path_factory.mktemp("functions")
    with Processes(folder) as processes:
        yield Fleet(Server(request.param, processes), processes, folder)


@pytest.fixture(scope="module")
def worker(fleet: Fleet) -> Process:
    return fleet.worker("w", WORKER_FUNCTIONS=AWKWARD, WORKER_RETRIES="1", WORKER_RETRY_DELAY="0.1")


def ended(fleet: Fleet, job: str) -> Ended:
    def look() -> list[Ended]:
        return [line for line in fleet.journal_of(Ended) if line.job == job]

    return wait_until(look, 10, "the job has ended")[-1]


def claims(fleet: Fleet, job: str) -> int:
    return len([line for line in fleet.journal_of(Claimed) if line.job == job])


def retries(fleet: Fleet, job: str) -> list[str]:
    return [line.error for line in fleet.journal_of(Retried) if line.job == job]


@pytest.mark.usefixtures("worker")
def test_arguments_are_taken_as_declared(fleet: Fleet) -> None:
    job = post_job(fleet.server, "add", 2, 3)
    assert fleet.server.wait_results([job], 10)[job] == 5


@pytest.mark.usefixtures("worker")
def test_misfit_arguments_are_final(fleet: Fleet) -> None:
    misfits: list[list[object]] = [[], [1], [1, 2, 3], ["one", 2], [1, None]]
    for job in [post_job(fleet.server, "add", *args) for args in misfits]:
        end = ended(fleet, job)
        assert end.outcome == "rejected"
        assert end.error
        assert claims(fleet, job) == 1
        assert not retries(fleet, job)
        assert (fleet.server.promise(job) or {})["state"] == "rejected"


def test_an_error_is_retried_then_rejects(fleet: Fleet, worker: Process) -> None:
    job = post_job(fleet.server, "fail", "out of order")
    end = ended(fleet, job)
    assert (end.outcome, end.error) == ("rejected", "out of order")
    assert retries(fleet, job) == ["ValueError: out of order"]
    assert 'fleet_worker_retries_total{function="fail"} 1.0' in metrics(worker)


@pytest.mark.usefixtures("worker")
def test_a_retry_may_succeed(fleet: Fleet, tmp_path: Path) -> None:
    job = post_job(fleet.server, "fail_once", str(tmp_path / "notes"))
    assert fleet.server.wait_results([job], 10)[job] == job
    assert claims(fleet, job) == 1


@pytest.mark.parametrize(
    ("function", "text"), [("leave", "SystemExit(3)"), ("unwritable", "what JSON cannot hold")]
)
def test_a_function_cannot_take_its_member_along(
    fleet: Fleet, worker: Process, function: str, text: str
) -> None:
    job = post_job(fleet.server, function)
    end = ended(fleet, job)
    assert end.outcome == "rejected"
    assert text in end.error
    assert claims(fleet, job) == 1
    assert worker.running


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("function", ["nobody_has_this", "cancel_itself"])
def test_a_job_that_cannot_run_here_is_not_tried_in_a_loop(fleet: Fleet, function: str) -> None:
    job = post_job(fleet.server, function)
    fine = post_job(fleet.server, "add", 1, 1)
    wait_until(lambda: claims(fleet, job) >= 2, 15, "a second try")
    tries = [line.at for line in fleet.journal_of(Claimed) if line.job == job]
    assert tries[1] - tries[0] >= 0.9
    assert ended(fleet, job).error
    assert fleet.server.wait_results([fine], 5)[fine] == 2


def test_a_module_that_is_not_ours(fleet: Fleet) -> None:
    fleet.worker("own", WORKER_GROUP="own", WORKER_FUNCTIONS="tests.support.thumbnails")
    job = post_job(fleet.server, "thumbnails", [64, 128], group="own")
    assert fleet.server.wait_results([job], 10)[job] == [f"{job}@64", f"{job}@128"]
    (ended_line,) = [line for line in fleet.journal_of(Ended) if line.job == job]
    assert (ended_line.function, ended_line.who.partition("-")[0]) == ("thumbnails", "own")


def test_versions_run_side_by_side(fleet: Fleet, worker: Process) -> None:
    one = post_job(fleet.server, "versioned")
    two = post_job(fleet.server, "versioned", version=2)
    three = post_job(fleet.server, "versioned", version=3)
    assert fleet.server.wait_results([one, two], 10) == {one: "one", two: "two"}
    assert ended(fleet, three).outcome == "unknown-function"
    assert worker.running


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("no_such_module", "No module named 'no_such_module'"),
        ("json", "no function `register`"),
        ("not-a-module!", "accepted: a module's dotted name"),
    ],
)
def test_a_functions_module_that_cannot_be_used(module: str, says: str) -> None:
    done = run_room("worker", env={"WORKER_FUNCTIONS": module, "WORKER_LOG_FORMAT": "json"})
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_wrong_settings_are_all_told() -> None:
    wrong = {"WORKER_SLOTS": "0", "WORKER_LEASE": "soon", "WORKER_GROUP": "No Group"}
    done = run_room("worker", env=wrong)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert all(any(line.startswith(name) for line in lines) for name in wrong)


def test_a_taken_port_is_one_line(fleet: Fleet, worker: Process) -> None:
    port = str(worker.line("pages")["port"])
    env = {"WORKER_PORT": port, "WORKER_HOST": "127.0.0.1", "RESONATE_URL": fleet.server.url}
    done = run_room("worker", env=env)
    assert done.returncode == 4
    assert "Address already in use" in done.stderr.splitlines()[-1]

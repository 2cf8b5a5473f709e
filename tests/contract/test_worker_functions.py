"""What functions may do to their worker, and what a caller may send it."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from resonate_fleet.contract.journal import Claimed, Retried
from tests.support.fleet import Fleet
from tests.support.pages import metrics
from tests.support.place import AWKWARD, Place
from tests.support.processes import Process, run_room
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def place(shared_fleet: Fleet) -> Iterator[Place]:
    """One place for all tests here: each looks at its own job."""
    made = Place(shared_fleet)
    yield made
    made.close()


@pytest.fixture(scope="module")
def worker(place: Place) -> Process:
    return place.worker(WORKER_FUNCTIONS=AWKWARD, WORKER_RETRIES="1", WORKER_RETRY_DELAY="0.1")


def retries(place: Place, job: str) -> list[str]:
    return [line.error for line in place.lines(Retried, job)]


@pytest.mark.usefixtures("worker")
def test_arguments_are_taken_as_declared(place: Place) -> None:
    job = place.job("add", 2, 3)
    assert place.server.wait_results([job], 30)[job] == 5


@pytest.mark.usefixtures("worker")
def test_misfit_arguments_are_final(place: Place) -> None:
    misfits: list[list[object]] = [[], [1], [1, 2, 3], ["one", 2], [1, None]]
    for job in [place.job("add", *args) for args in misfits]:
        end = place.ended(job)
        assert end.outcome == "rejected"
        assert end.error
        assert len(place.lines(Claimed, job)) == 1
        assert not retries(place, job)
        assert (place.server.promise(job) or {})["state"] == "rejected"


def test_what_a_function_logs_says_which_job(place: Place, worker: Process) -> None:
    job = place.job("chat")
    place.server.wait_results([job], 30)
    line = worker.line("library.my.own")
    assert (line["job"], line["attempt"]) == (job, 1)
    assert line["text"] == f"half way through {job}"


def test_an_error_is_retried_then_rejects(place: Place, worker: Process) -> None:
    job = place.job("fail", "out of order")
    end = place.ended(job)
    assert end.outcome == "rejected"
    assert re.fullmatch(r"ValueError: out of order \(awkward.py:\d+\)", end.error)
    assert retries(place, job) == ["ValueError: out of order"]
    assert 'fleet_worker_retries_total{function="fail"} 1.0' in metrics(worker)


@pytest.mark.usefixtures("worker")
def test_a_retry_may_succeed(place: Place, tmp_path: Path) -> None:
    job = place.job("fail_once", str(tmp_path / "notes"))
    assert place.server.wait_results([job], 30)[job] == job
    assert len(place.lines(Claimed, job)) == 1


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("leave", "SystemExit(3)"),
        ("unwritable", "what JSON cannot hold"),
        ("cancel_itself", "CancelledError"),
    ],
)
def test_a_function_cannot_take_its_member_along(
    place: Place, worker: Process, function: str, text: str
) -> None:
    job = place.job(function)
    end = place.ended(job)
    assert end.outcome == "rejected"
    assert text in end.error
    assert len(place.lines(Claimed, job)) == 1
    assert worker.running


def test_jobs_that_cannot_run_here_are_left_to_others(place: Place, worker: Process) -> None:
    first = place.job("nobody_has_this")
    assert place.ended(first).outcome == "unknown-function"
    second = place.job("nor_this")
    assert worker.line("function.unknown", 20)["function"] in {"nobody_has_this", "nor_this"}
    fine = place.job("add", 1, 1)
    assert place.server.wait_results([fine], 30)[fine] == 2
    assert len(place.lines(Claimed, first)) == 1
    assert not place.lines(Claimed, second)


@pytest.mark.parametrize("function", ["stops_the_loop", "exits_in_a_callback"])
def test_a_function_that_stops_the_loop_does_not_stop_its_member(
    place: Place, worker: Process, function: str
) -> None:
    job = place.job(function)
    assert place.server.wait_results([job], 30)[job] == job
    assert worker.line("loop.stopped")["then"] == "it goes on"
    assert worker.running


def test_a_signal_that_a_function_takes_is_taken_back(place: Place, worker: Process) -> None:
    place.server.wait_results([place.job("takes_signals")], 30)
    taken = worker.line("signal.taken-back", 20)
    assert (taken["signal"], taken["handler"]) == ("SIGTERM", repr(signal.SIG_IGN))


def test_a_task_factory_is_not_taken_from_a_function(place: Place, worker: Process) -> None:
    """Eager tasks would end the SDK's and leave a member that is ready and does nothing."""
    place.server.wait_results([place.job("makes_tasks_eager")], 30)
    assert "eager" in worker.line("loop.taken-back")["factory"]
    job = place.job("add", 1, 1)
    assert place.server.wait_results([job], 30)[job] == 2


@pytest.mark.parametrize("function", ["forks", "forks_on_the_loop"])
def test_a_forked_child_that_returns_ends(place: Place, worker: Process, function: str) -> None:
    before = worker.children()
    job = place.job(function)
    assert place.server.wait_results([job], 30)[job] == job
    wait_until(lambda: worker.children() <= before, 10, "the child has ended")


@pytest.mark.parametrize(
    ("function", "code", "said"),
    [
        ("fork_that_exits", 3, 0),
        ("fork_that_raises", 1, 1),
        ("fork_that_raises_on_the_loop", 1, 1),
    ],
)
def test_a_forked_child_ends_as_python_ends_a_process(
    place: Place, worker: Process, function: str, code: int, said: int
) -> None:
    before = worker.err.read_text().count("ValueError: in the child")
    job = place.job(function)
    assert place.server.wait_results([job], 30)[job] == code
    assert worker.err.read_text().count("ValueError: in the child") == before + said


def test_a_member_that_crashes_in_c_says_in_which_function(shared_fleet: Fleet) -> None:
    own = Place(shared_fleet)
    worker = own.worker("crashes", WORKER_FUNCTIONS=AWKWARD)
    own.job("crashes")
    assert worker.wait(20) == -signal.SIGSEGV
    words = worker.err.read_text().partition("Fatal Python error: Segmentation fault")[2]
    assert "in crashes" in words
    own.close()


def test_a_module_that_is_not_ours(shared_fleet: Fleet) -> None:
    own = Place(shared_fleet)
    own.worker("own", WORKER_FUNCTIONS="tests.support.thumbnails")
    job = own.job("thumbnails", [64, 128])
    assert own.server.wait_results([job], 30)[job] == [f"{job}@64", f"{job}@128"]
    assert own.ended(job).function == "thumbnails"
    own.close()


def test_versions_run_side_by_side(place: Place, worker: Process) -> None:
    one = place.job("versioned")
    two = place.job("versioned", version=2)
    place.job("versioned", version=3)
    assert place.server.wait_results([one, two], 30) == {one: "one", two: "two"}
    said = ("function.unknown", "job.ended")
    wait_until(
        lambda: any("versioned@3" in str(line) for one in said for line in worker.lines(one)),
        20,
        "it says what it lacks",
    )


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
    assert [line.split(" is ")[0] for line in lines] == [
        "worker: WORKER_GROUP",
        "worker: WORKER_SLOTS",
        "worker: WORKER_LEASE",
    ]


@pytest.mark.parametrize(
    ("room", "setting"), [("worker", "WORKER_HOST"), ("steward", "STEWARD_HOST")]
)
@pytest.mark.parametrize("host", ["203.0.113.7", "no..host"])
def test_a_host_that_is_not_of_this_machine_is_refused_by_name(
    room: str, setting: str, host: str
) -> None:
    done = run_room(room, env={setting: host})
    assert done.returncode == 2
    refused = f"{setting} is {host!r}; accepted: an address of this machine"
    assert done.stderr.splitlines() == [f"{room}: {refused}"]


def test_a_taken_port_is_one_line(place: Place, worker: Process) -> None:
    port = str(worker.line("pages")["port"])
    env = {"WORKER_PORT": port, "WORKER_HOST": "127.0.0.1", "RESONATE_URL": place.server.url}
    done = run_room("worker", env=env)
    assert done.returncode == 4
    says = f"worker: WORKER_PORT is {port}, which is taken; accepted: a port that is free"
    assert done.stderr.splitlines()[-1] == says

"""Clocks of this machine that are off the server's: what is set, shown and waited for is right."""

import json
import time
from pathlib import Path

import pytest

from tests.contract.test_steward_handover import page, presence_port
from tests.support.fleet import Fleet
from tests.support.pages import metrics
from tests.support.place import Place
from tests.support.processes import free_port, run_room
from tests.support.servers import Server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

HOUR = 3600


@pytest.fixture
def slow(tmp_path: Path) -> str:
    """A folder for PYTHONPATH that puts the clock of a process back, by SLOW seconds."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, time\n"
        "back, real, real_ns = float(os.environ['SLOW']), time.time, time.time_ns\n"
        "time.time = lambda: real() - back\n"
        "time.time_ns = lambda: real_ns() - int(back * 1e9)\n"
    )
    return str(tmp_path)


def test_a_member_whose_clock_is_behind_says_so_and_sleeps_as_long_as_it_should(
    place: Place, slow: str
) -> None:
    worker = place.worker(PYTHONPATH=slow, SLOW="5")
    job = place.job("compute_durably", 2.0)
    began = time.monotonic()
    place.server.wait_results([job], 30)
    assert time.monotonic() - began >= 1.0
    assert worker.line("clock.off")["seconds"] == pytest.approx(5, abs=1)
    assert "fleet_worker_clock_offset_seconds" in metrics(worker)


def test_a_client_whose_clock_is_behind_makes_no_job_that_is_over(place: Place, slow: str) -> None:
    place.worker()
    two_days = str(2 * 86_400)
    done = place.fleet.client(
        "--cost", "0.05", "--wait", CLIENT_GROUP=place.group, PYTHONPATH=slow, SLOW=two_days
    )
    assert done.returncode == 0, done.stderr
    assert "resolved" in done.stdout
    assert "this machine's clock is 17280" in done.stderr


def test_a_rerun_by_a_clock_that_is_behind_makes_no_job_that_is_over(
    place: Place, slow: str
) -> None:
    place.worker()
    job = place.job("compute_something", 0.05)
    place.server.wait_results([job], 30)
    where = ("--server", place.server.url)
    done = run_room("fleet", "rerun", job, *where, env={"PYTHONPATH": slow, "SLOW": "172800"})
    assert done.returncode == 0, done.stderr
    assert place.server.wait_results([f"{job}-rerun-1"], 30)


@pytest.mark.parametrize("behind", [HOUR, -HOUR])
def test_a_steward_whose_clock_is_off_goes_by_the_server_s(
    fleet: Fleet, tmp_path: Path, slow: str, behind: int
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[groups.worker-group]\nalone = "wait"\n')
    (waits,) = fleet.submit("--cost", "0.05", "--id", "waits")
    steward = fleet.steward(STEWARD_POLICY=str(policy), PYTHONPATH=slow, SLOW=str(behind))
    assert steward.line("clock.off", 20)["seconds"] == pytest.approx(behind, abs=2)
    url = f"http://127.0.0.1:{steward.line('steward.started')['port']}"
    wait_until(lambda: json.loads(page(steward, "/state"))["groups"][:1], 20, "the job is found")
    state = json.loads(page(steward, "/state"))
    assert abs(state["at"] - time.time()) < 3
    assert abs(state["since"] - time.time()) < 30, "members choose a steward by it"
    assert state["at"] - state["groups"][0]["oldest"] < 60
    fleet.worker("w", WORKER_STEWARD=f"127.0.0.1:{presence_port(steward)}")
    began = time.monotonic()
    asked = ("submit", "compute_something", "--args", '["late", 0.05]', "--id", "late")
    env = {"RESONATE_URL": fleet.server.url, "FLEET_STEWARD_URL": url}
    done = run_room("fleet", *asked, "--not-before", "3s", "--wait", "20", env=env)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began >= 1.9
    assert fleet.server.wait_results([waits], 20)
    shown = run_room("fleet", "jobs", "--json", "--since", "1m", env=env).stdout
    assert {json.loads(line)["id"] for line in shown.splitlines()} == {"waits", "late"}


def test_a_steward_whose_clock_is_ahead_has_not_surveyed_in_the_future(
    fleet: Fleet, slow: str
) -> None:
    """What happened since counts as not calm, and a group that opens later as not surveyed."""
    steward = fleet.steward(PYTHONPATH=slow, SLOW=str(-HOUR))

    def searched() -> float:
        return float(json.loads(page(steward, "/state"))["searched"] or 0.0)

    wait_until(lambda: searched() > 0, 30, "it has surveyed")
    assert abs(searched() - time.time()) < 30


@pytest.mark.parametrize("behind", [2 * HOUR, -2 * HOUR])
def test_a_command_whose_clock_is_off_shows_ages_by_the_server_s(
    server: Server, slow: str, behind: int
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    env = {"RESONATE_URL": server.url, "FLEET_STEWARD_URL": nowhere}
    off = {**env, "PYTHONPATH": slow, "SLOW": str(behind)}
    schedule = ("s", "0 * * * *", "f", "--job-id", "s-{{.timestamp}}")

    def shown(*words: str) -> str:
        text = run_room("fleet", *words, env=off).stdout
        assert "2h 00m" not in text
        return text

    assert run_room("fleet", "submit", "f", "--id", "one", env=env).returncode == 0
    assert "worker-group" in shown("ps")
    assert "in 23h 59m" in shown("job", "one")
    assert "1 job," in shown("jobs", "--store", "--since", "1h")
    assert run_room("fleet", "schedule", "add", *schedule, env=env).returncode == 0
    listed = shown("schedule", "list")
    assert "0 * * * *" in listed
    assert "(late)" not in listed, "its next run is within an hour"

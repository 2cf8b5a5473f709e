"""What a functions module opens and closes, once a process."""

import signal
from pathlib import Path

import psycopg
import pytest

from tests.support.fleet import Fleet
from tests.support.place import Place
from tests.support.postgres import postgres
from tests.support.processes import ROOT, Process, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

MODULE = "tests.support.lifespans"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


def settings(notes: Path, trouble: str = "") -> dict[str, str]:
    return {
        "WORKER_FUNCTIONS": MODULE,
        "LIFESPAN_NOTES": str(notes),
        "LIFESPAN_TROUBLE": trouble,
    }


def started(place: Place, env: dict[str, str]) -> Process:
    """Start a member that may never be ready."""
    return place.fleet.worker(f"{place.group}-w", ready=False, WORKER_GROUP=place.group, **env)


def noted(notes: Path) -> list[str]:
    return notes.read_text().splitlines() if notes.exists() else []


def test_it_is_opened_before_the_first_job_and_closed_after_the_last(
    place: Place, notes: Path
) -> None:
    worker = place.worker(**settings(notes))
    job = place.job("use", 1.0)
    wait_until(lambda: "begin" in noted(notes), 20, "the job runs")
    worker.send(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert place.server.wait_results([job], 5)[job] == "hello"
    opened = ["first open", "client open"]
    assert noted(notes) == [*opened, "begin", "end", "client closed", "first closed"]


def test_a_start_up_that_fails_is_one_line_and_closes_what_was_open(
    place: Place, notes: Path
) -> None:
    worker = started(place, settings(notes, "open"))
    assert worker.wait(30) == 2
    line = worker.err.read_text().splitlines()[-1]
    assert f"WORKER_FUNCTIONS is '{MODULE}': start-up of client: ValueError('no luck" in line
    assert "Traceback" not in worker.err.read_text()
    assert noted(notes) == ["first open", "first closed"]


def test_a_start_up_that_hangs_ends_with_a_signal(place: Place, notes: Path) -> None:
    worker = started(place, settings(notes, "open-hangs"))
    wait_until(lambda: "hangs" in noted(notes), 20, "the start-up hangs")
    worker.send(signal.SIGTERM)
    assert worker.wait(10) == 0


def test_a_shutdown_that_fails_is_logged_and_the_others_are_done(place: Place, notes: Path) -> None:
    worker = place.worker(**settings(notes, "close"))
    worker.send(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert "no luck with close" in worker.line("shutdown.failed")["why"]
    assert noted(notes)[-1] == "first closed"


def test_a_shutdown_that_hangs_is_cut_when_the_drains_time_is_over(
    place: Place, notes: Path
) -> None:
    worker = place.worker(WORKER_DRAIN="1", **settings(notes, "close-hangs"))
    worker.send(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert worker.line("shutdown.cut")


def test_a_job_that_ran_twice_has_written_once(fleet: Fleet) -> None:
    """Its member dies between the write and the job's end; the next one finds the write."""
    with postgres() as url, psycopg.connect(url, autocommit=True) as db:
        db.execute(
            "CREATE TABLE bookings (number SERIAL PRIMARY KEY, job TEXT UNIQUE NOT NULL,"
            " customer TEXT, amount INT)"
        )
        place = Place(fleet)
        env = {"ORDERS_DB": url, "WORKER_LEASE": "1"}
        doomed = place.worker(WORKER_FUNCTIONS="tests.support.orders_held_up", **env)
        job = place.job("book", 12)  # the customer is the job, as in all jobs made here

        def booked() -> list[tuple[object, ...]]:
            return db.execute("SELECT number, customer, amount FROM bookings").fetchall()

        ((number, *written),) = wait_until(booked, 30, "the job has written")
        doomed.kill()
        place.worker(WORKER_FUNCTIONS="tests.support.orders", **env)
        assert fleet.server.wait_results([job], 30)[job] == number
        assert booked() == [(number, *written)] == [(number, job, 12)]
        assert (fleet.server.task(job) or {})["version"] >= 2


def test_a_database_that_is_away_is_one_line(place: Place) -> None:
    url = f"postgres://fleet@127.0.0.1:{free_port()}/postgres"
    env = {"WORKER_FUNCTIONS": "tests.support.orders", "ORDERS_DB": url}
    worker = started(place, env)
    assert worker.wait(30) == 2
    assert "start-up of pool: PoolTimeout(" in worker.err.read_text().splitlines()[-1]


def test_the_document_shows_these_functions() -> None:
    shown = (ROOT / "docs" / "your-own-functions.md").read_text(encoding="utf-8")
    code = (ROOT / "tests" / "support" / "orders.py").read_text(encoding="utf-8")
    assert code.split('"""', 2)[2].strip() in shown

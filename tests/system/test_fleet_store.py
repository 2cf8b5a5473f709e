"""`fleet store` as its user types it."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from resonate_fleet.retention.postgres import Postgres
from tests.support.fleet import Fleet
from tests.support.postgres import postgres
from tests.support.processes import Processes, free_port, run_room
from tests.support.real_store import POSTGRES, make_file
from tests.support.servers import Server

pytestmark = pytest.mark.system

FILL = (
    "INSERT INTO promises (id, state, tags, timeout_at, created_at, settled_at) VALUES"
    " ('old', 'resolved', '{}', 9, 1, 1), ('live', 'pending', '{}', 9, 1, NULL)"
)


def store(*args: str, code: int = 0) -> str:
    """Run a command; return what it printed, its one line of error where it must fail."""
    done = run_room("fleet", "store", *args)
    assert done.returncode == code, done.stderr
    if code:
        (line,) = done.stderr.splitlines()
        return line
    return done.stdout


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = make_file(tmp_path / "real.db")
    fill(made)
    return made


def fill(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute(FILL)
    connection.commit()
    connection.close()


def ids(file: Path) -> list[str]:
    connection = sqlite3.connect(file)
    found = [name for (name,) in connection.execute("SELECT id FROM promises ORDER BY id")]
    connection.close()
    return found


def test_a_dry_run_changes_nothing_and_yes_does_it(file: Path) -> None:
    said = store("prune", str(file), "--older-than", "30d")
    assert "1 jobs with all that belongs to them, 1 promises, would go" in said
    assert "Nothing was changed" in said
    assert "runs again" in said
    assert ids(file) == ["live", "old"]
    said = store("prune", str(file), "--older-than", "30d", "--yes")
    assert "are gone" in said
    assert "VACUUM" in said
    assert ids(file) == ["live"]


def test_show_counts(file: Path) -> None:
    seen = json.loads(store("show", str(file), "--json"))
    assert seen["promises"] == {"pending": 1, "resolved": 1}
    assert seen["ages"]["older"] == {"resolved": 1}
    assert "2 promises, 1 of them pending" in store("show", str(file))


def test_a_postgres_store_is_shown_and_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(POSTGRES.encode())
            connection.execute(FILL.encode())
        assert json.loads(store("show", url, "--json"))["promises"] == {"pending": 1, "resolved": 1}
        assert "are gone" in store("prune", url, "--older-than", "1d", "--yes")
        assert json.loads(store("show", url, "--json"))["promises"] == {"pending": 1}
        now = time.time() * 1000
        monkeypatch.setattr("time.time_ns", lambda: 0)  # ages go by the database's clock
        with closing(Postgres(url)) as database:
            assert database.now_ms() == pytest.approx(now, abs=60_000)


def test_what_cannot_be_meant_is_one_line(file: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, " * 100)
    url = f"postgres://fleet@127.0.0.1:{free_port()}/x"
    for args, code, says in [
        (
            ("prune", str(file), "--older-than", "soon"),
            2,
            "'soon'; accepted: a whole number with s, m, h or d",
        ),
        (("prune", str(file)), 2, "--older-than"),
        (("show", "mysql://x"), 2, "accepted: a file, or postgres://"),
        (("show", str(tmp_path / "none.db")), 4, "unable to open"),
        (("show", str(tmp_path / "text")), 4, "not a database"),
        (("show", url), 4, "refused"),
    ]:
        assert says in store(*args, code=code)
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE promises (id TEXT)")
    connection.close()
    line = store("prune", str(tmp_path / "other.db"), "--older-than", "1d", "--yes", code=2)
    assert "not a store of server v0.9.8" in line


@pytest.mark.real
def test_old_jobs_leave_the_real_servers_store_while_the_fleet_runs(
    processes: Processes, tmp_path: Path
) -> None:
    file = tmp_path / "real.db"
    fleet = Fleet(Server("real", processes, file), processes, tmp_path)
    fleet.worker("w", WORKER_SLOTS="4")
    old = fleet.submit("--count", "20", "--cost", "0.01")
    fleet.server.wait_results(old)
    time.sleep(0.01)  # their age is more than nothing
    live = fleet.submit("--count", "8", "--cost", "0.01", "--group", "later")
    assert "20 jobs" in store("prune", str(file), "--older-than", "0s", "--yes")
    assert fleet.server.promise(old[0]) is None
    fleet.worker("later", WORKER_GROUP="later")
    assert len(fleet.server.wait_results(live)) == 8

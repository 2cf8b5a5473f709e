"""Nothing that lives leaves a store, and everything that is over and old does."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resonate_fleet.retention.database import Database, StoreError, contents
from resonate_fleet.retention.postgres import Postgres
from resonate_fleet.retention.prune import Prune, scheduled
from resonate_fleet.retention.sqlite import (
    CHECK_SECONDS,
    LONGEST_SECONDS,
    QUIET_SECONDS,
    SqliteFile,
)
from resonate_fleet.server.state import State
from resonate_fleet.server.store import Store
from tests.support.judge import Judge
from tests.support.postgres import postgres
from tests.support.processes import Processes
from tests.support.real_store import POSTGRES, make_file
from tests.support.steps import START, Step, sequences

CUTOFF = 1_000
OLD, YOUNG = CUTOFF - 1, CUTOFF + 1
#: What may keep a promise, besides its state and its age.
HOLDS = (
    "nothing",
    "nothing",
    "nothing",
    "task",
    "awaited",
    "awaiter",
    "listener",
    "news",
    "schedule",
)


@dataclass(frozen=True)
class Member:
    """A promise: its family, whether the tag says so, and what is about it."""

    family: int
    tagged: bool
    state: str
    settled: int
    hold: str

    @property
    def over(self) -> bool:
        return self.state != "pending" and self.settled < CUTOFF and self.hold == "nothing"


MEMBERS = st.lists(
    st.builds(
        Member,
        family=st.integers(0, 5),
        tagged=st.booleans(),
        state=st.sampled_from(["resolved", "resolved", "resolved", "rejected", "pending"]),
        settled=st.sampled_from([OLD, OLD, OLD, YOUNG]),
        hold=st.sampled_from(HOLDS),
    ),
    max_size=30,
)


class Filled:
    """A store with `members`, written as the server would have."""

    def __init__(self, database: Database, members: list[Member]) -> None:
        self.database = database
        database.rows("DELETE FROM schedules")
        database.rows("DELETE FROM promises")
        self.promise("elsewhere", {}, "pending", None)
        seen: dict[int, int] = {}
        self.members: dict[str, Member] = {}
        for one in members:
            number = seen[one.family] = seen.get(one.family, -1) + 1
            # A root is its own origin; untagged children are known by their ids.
            name = f"job{one.family}" + (f":{number}" if number else "")
            tags = {"resonate:origin": f"job{one.family}"} if one.tagged else {}
            settled = None if one.state == "pending" else one.settled
            self.promise(name, tags, one.state, settled)
            self._hold(name, one)
            self.members[name] = one

    def promise(self, id: str, tags: dict[str, str], state: str, settled: int | None) -> None:
        self.database.rows(
            "INSERT INTO promises (id, state, tags, timeout_at, created_at, settled_at)"
            " VALUES (:id, :state, :tags, 9, 1, :settled)",
            id=id,
            state=state,
            tags=json.dumps(tags),
            settled=settled,
        )

    def _hold(self, id: str, one: Member) -> None:
        task = "suspended" if one.hold == "task" else "fulfilled"
        self.database.rows("INSERT INTO tasks VALUES (:id, :state, 1)", id=id, state=task)
        sql = {
            "awaited": "INSERT INTO callbacks VALUES (:id, 'elsewhere', true)",
            "awaiter": "INSERT INTO callbacks VALUES ('elsewhere', :id, false)",
            "listener": "INSERT INTO listeners VALUES (:id, 'poll://uni@a/b')",
            "news": "INSERT INTO outgoing_unblock VALUES (:id, 'poll://uni@a/b')",
            "schedule": "INSERT INTO schedules (id, promise_id, next_run_at)"
            " VALUES ('s-' || :id, :id, 1)",
        }.get(one.hold)
        if sql:
            self.database.rows(sql, id=id)

    def left(self) -> set[str]:
        return {name for (name,) in self.database.rows("SELECT id FROM promises")} - {"elsewhere"}

    def may_go(self) -> set[str]:
        lives = {one.family for one in self.members.values() if not one.over}
        return {name for name, one in self.members.items() if one.family not in lives}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    if request.param == "sqlite":
        file = make_file(tmp_path_factory.mktemp("store") / "real.db")
        with closing(SqliteFile(str(file))) as opened:
            yield opened
        return
    with postgres() as url:
        psycopg.connect(url, autocommit=True).execute(POSTGRES.encode()).connection.close()
        with closing(Postgres(url)) as opened:
            yield opened


def planned(database: Database) -> Prune:
    for table in ("candidates", "families"):
        database.rows(f"DROP TABLE IF EXISTS {table}")
    return Prune(database, CUTOFF, sleep=lambda _: None)


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(members=MEMBERS)
def test_whole_families_go_that_are_over_and_nothing_else(
    database: Database, members: list[Member]
) -> None:
    store = Filled(database, members)
    going = store.may_go()
    prune = planned(database)
    assert prune.plan().promises == len(going)
    assert sum(done.promises for done in prune.run()) == len(going)
    assert store.left() == store.members.keys() - going


def test_a_family_that_gets_a_promise_meanwhile_stays(database: Database) -> None:
    over = [Member(family, True, "resolved", OLD, "nothing") for family in (0, 1, 1, 2)]
    store = Filled(database, over)
    prune = planned(database)
    assert prune.plan().families == 3
    store.promise("new", {"resonate:origin": "job1"}, "pending", None)
    assert sum(done.families for done in prune.run()) == 2
    assert store.left() == {"job1", "job1:1", "new"}


def test_transactions_grow_to_what_fits_and_leave_time_to_others(database: Database) -> None:
    Filled(database, [Member(n, True, "resolved", OLD, "nothing") for n in range(200)])
    took, slept = database.transaction_seconds, list[float]()
    times = chain([0, took / 8, 1, 1 + 0.99 * took, 2, 2 + 9 * took], repeat(3))
    planned(database)
    prune = Prune(database, CUTOFF, sleep=slept.append, clock=lambda: next(times))
    prune.plan()
    sizes = [done.families for done in prune.run()]
    assert sizes[:3] == [10, 20, 20], "doubled at most, then as many as fit"
    assert sizes[3] == 10, "never fewer than the first"
    assert sum(sizes) == 200
    assert slept[1] == pytest.approx(took * (1 / database.share - 1), rel=0.02)


@pytest.mark.parametrize(
    ("writes", "seconds"),
    [(10, 10 * CHECK_SECONDS + QUIET_SECONDS), (10_000, LONGEST_SECONDS)],
)
def test_a_transaction_waits_for_the_end_of_a_burst(
    tmp_path: Path, writes: int, seconds: float
) -> None:
    file = make_file(tmp_path / "real.db")
    with closing(SqliteFile(str(file))) as opened, closing(sqlite3.connect(file)) as server:
        now = [0.0]

        def sleep(length: float) -> None:
            now[0] += length
            if now[0] <= writes * length:
                server.execute("DELETE FROM schedules")
                server.execute("INSERT INTO schedules (id) VALUES ('s')")
                server.commit()

        opened.await_quiet(sleep, lambda: now[0])
        assert now[0] == pytest.approx(seconds, abs=CHECK_SECONDS)


def test_a_schedule_names_its_last_and_its_next_run() -> None:
    rows = [("s", "{{.id}}-{{.timestamp}}", 20, 10), ("t", "fixed", 20, None)]
    assert scheduled(rows) == {"s-10", "s-20", "fixed"}


def test_contents_are_counted_by_state_and_age(database: Database) -> None:
    Filled(
        database,
        [
            Member(0, True, "resolved", OLD, "nothing"),
            Member(1, True, "rejected", YOUNG, "schedule"),
            Member(2, True, "pending", OLD, "task"),
        ],
    )
    seen = contents(database, OLD + 2 * 86_400_000)
    assert seen.promises == {"resolved": 1, "rejected": 1, "pending": 2}
    assert seen.tasks == {"fulfilled": 2, "suspended": 1}
    assert seen.ages["7 days"] == {"resolved": 1, "rejected": 1}
    assert seen.schedules == 1
    assert seen.size.total > 0


def test_another_schema_is_refused(tmp_path: Path) -> None:
    file = make_file(tmp_path / "real.db")
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE tasks ADD COLUMN priority INTEGER")
        connection.execute("CREATE TABLE more (id TEXT)")
    connection.close()
    with (
        closing(SqliteFile(str(file))) as opened,
        pytest.raises(StoreError, match=r"v0\.9\.8: more, tasks missing or different"),
    ):
        opened.check()


def test_the_embedded_servers_file_is_refused(tmp_path: Path) -> None:
    with closing(Store(str(tmp_path / "own.db"))):
        pass
    with closing(SqliteFile(str(tmp_path / "own.db"))) as opened, pytest.raises(StoreError):
        opened.check()


@pytest.mark.real
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=sequences(), age=st.sampled_from([0, 1, 3_000, 31_000]))
def test_the_real_servers_live_jobs_stay(
    real: tuple[Judge, str], steps: list[Step], age: int
) -> None:
    judge, file = real
    judge.call(0, "debug.reset", {})
    now = START
    with closing(Store()) as store:  # the embedded server only says which versions fit
        state = State(store)
        for step in steps:
            now += step.pause
            if step.what == "tick":
                state.tick(now)
                judge.tick(now)
                continue
            kind, data = step.request(state, now)
            state.apply(now, kind, data)
            judge.call(now, kind, data)
    before = everything(judge)
    with closing(SqliteFile(file)) as database:
        database.check()
        prune = Prune(database, now - age, sleep=lambda _: None)
        planned = prune.plan().promises
        assert sum(done.promises for done in prune.run()) == planned
    after = everything(judge)
    gone = before["promises"].keys() - after["promises"].keys()
    assert len(gone) == planned
    for name in gone:
        assert before["promises"][name]["settledAt"] < now - age
        assert before["tasks"].get(name, {}).get("state", "fulfilled") == "fulfilled"
    families = {family(one) for one in after["promises"].values()}
    assert not families & {family(before["promises"][name]) for name in gone}, "whole families"
    for kind in ("promises", "tasks"):
        rest = {name: one for name, one in before[kind].items() if name not in gone}
        assert after[kind] == rest
    assert after["others"] == [one for one in before["others"] if not is_stale_hint(one, gone)]


def is_stale_hint(row: Any, gone: set[str]) -> bool:
    """Tell a hint for a job that timed out before anybody heard of it: it goes with the job."""
    message = row.get("message", {})
    return message.get("kind") == "execute" and message["data"]["task"]["id"] in gone


def family(promise: dict[str, Any]) -> str:
    root = promise["id"].partition(":")[0].partition(".")[0]
    return str(promise["tags"].get("resonate:origin", root))


def everything(judge: Judge) -> dict[str, Any]:
    """Return promises and tasks by id, and all other rows, as the server shows them."""
    snap = judge.call(0, "debug.snap", {})[1]
    parts = {kind: {one["id"]: one for one in snap[kind]} for kind in ("promises", "tasks")}
    return parts | {"others": [one for kind in sorted(set(snap) - {*parts}) for one in snap[kind]]}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Judge, str]]:
    folder = tmp_path_factory.mktemp("real")
    with Processes(folder / "logs") as processes, Judge.on(processes, folder / "real.db") as judge:
        yield judge, str(folder / "real.db")

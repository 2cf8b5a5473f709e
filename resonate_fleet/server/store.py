"""The tables: SQLite, in memory or in a file, one transaction a request.

Here too is what several requests share: how a task becomes claimable, and what follows when a
promise settles or runs out of time. The order of effects is the real server's (v0.9.8,
`persistence_sqlite.rs`): the promise's own task is fulfilled, tasks that waited for the promise
become claimable, listeners are notified.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from resonate_fleet.server.protocol import MAX, PromiseSettle

Row = sqlite3.Row

#: Marks a file as ours (SQLite's `application_id`).
_OWNER = 0x64657673

#: `due` is when a pending task is hinted at again, or when the lease of an acquired one lapses;
#: it, `pid` and `ttl` are empty in the other states. All times are Unix milliseconds.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS promises (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, param TEXT NOT NULL, value TEXT NOT NULL,
    tags TEXT NOT NULL, branch TEXT, timer INTEGER NOT NULL,
    timeout_at INTEGER NOT NULL, created_at INTEGER NOT NULL, settled_at INTEGER);
CREATE INDEX IF NOT EXISTS promises_by_state ON promises (state, id);
CREATE INDEX IF NOT EXISTS promises_due ON promises (timeout_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS promises_by_branch ON promises (branch, id) WHERE branch IS NOT NULL;
CREATE TABLE IF NOT EXISTS tasks (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, version INTEGER NOT NULL, target TEXT NOT NULL,
    pid TEXT, ttl INTEGER, due INTEGER);
CREATE INDEX IF NOT EXISTS tasks_by_state ON tasks (state, id);
CREATE INDEX IF NOT EXISTS tasks_due ON tasks (state, due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS callbacks (
    awaited TEXT NOT NULL, awaiter TEXT NOT NULL, ready INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (awaited, awaiter)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS callbacks_by_awaiter ON callbacks (awaiter, ready);
CREATE TABLE IF NOT EXISTS listeners (
    promise TEXT NOT NULL, address TEXT NOT NULL, PRIMARY KEY (promise, address)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS executes (
    id TEXT PRIMARY KEY, version INTEGER NOT NULL, address TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schedules (
    id TEXT PRIMARY KEY, cron TEXT NOT NULL, promise_id TEXT NOT NULL,
    promise_timeout INTEGER NOT NULL, param TEXT NOT NULL, tags TEXT NOT NULL,
    created_at INTEGER NOT NULL, next_run_at INTEGER NOT NULL, last_run_at INTEGER);
CREATE INDEX IF NOT EXISTS schedules_due ON schedules (next_run_at, id);
CREATE TABLE IF NOT EXISTS unblocks (
    promise TEXT NOT NULL, address TEXT NOT NULL, PRIMARY KEY (promise, address)) WITHOUT ROWID;
"""


class Store:
    """One SQLite database. `path` is a file, or `:memory:`.

    `retry` is the time after which an unclaimed task is hinted at again, in milliseconds.

    A file is written in WAL mode: a committed transaction is with the operating system and
    outlives the process, whatever ends it. One process at a time has it open.

    Raises:
        sqlite3.Error: the file cannot be used, or is another program's.
    """

    def __init__(self, path: str = ":memory:", retry: int = 30_000) -> None:
        self._retry = retry
        self._db = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        try:
            self._prepare()
        except sqlite3.Error:
            self._db.close()
            raise

    def _prepare(self) -> None:
        self._db.row_factory = sqlite3.Row
        self._db.create_function("holds_tags", 2, _holds_tags, deterministic=True)
        (owner,) = self._db.execute("PRAGMA application_id").fetchone()
        if owner != _OWNER and self.one("SELECT name FROM sqlite_schema"):
            raise sqlite3.DatabaseError("the file is a database of another program")
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(f"BEGIN; PRAGMA application_id = {_OWNER}; {_SCHEMA} COMMIT;")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is run inside."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk may have rolled it back already
                self._db.execute("ROLLBACK")
            raise

    def run(self, sql: str, *values: Any) -> int:
        """Execute and return how many rows changed."""
        return self._db.execute(sql, values).rowcount

    def all(self, sql: str, *values: Any) -> list[Row]:
        return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> Row | None:
        row: Row | None = self._db.execute(sql, values).fetchone()
        return row

    def page(
        self, select: str, where: dict[str, Any], limit: int
    ) -> tuple[list[Row], dict[str, str]]:
        """Return at most `limit` rows in id order that meet those conditions that have a value.

        With them the `cursor` of the next page, if there are more.
        """
        given = {condition: value for condition, value in where.items() if value is not None}
        conditions = " AND ".join(given) or "true"
        sql = f"{select} WHERE {conditions} ORDER BY id LIMIT ?"
        rows = self.all(sql, *given.values(), limit + 1)
        return rows[:limit], {"cursor": rows[limit - 1]["id"]} if len(rows) > limit else {}

    def usable(self) -> bool:
        try:
            return self.one("SELECT 1") is not None
        except sqlite3.Error:
            return False

    def close(self) -> None:
        self._db.close()

    # What requests share.

    def enqueue(self, id: str, now: int) -> None:
        """Make the task pending, queue its hint, and have it queued again after `retry`."""
        self.run(
            "UPDATE tasks SET state = 'pending', pid = NULL, ttl = NULL, due = ? WHERE id = ?",
            *(min(now + self._retry, MAX), id),
        )
        self.run(
            "INSERT INTO executes SELECT id, version, target FROM tasks WHERE id = ?"
            " ON CONFLICT (id) DO UPDATE SET version = excluded.version",
            id,
        )

    def settle(self, asked: PromiseSettle, now: int) -> None:
        """Settle the promise if it is pending."""
        if self.run(
            "UPDATE promises SET state = ?, value = ?, settled_at = ?"
            " WHERE id = ? AND state = 'pending'",
            *(asked.state, to_text(asked.value), now, asked.id),
        ):
            self._follow([asked.id], now)

    def expire(self, now: int, *ids: str) -> None:
        """Settle those of `ids`, of all without any, whose time is up.

        Every request does this to what it touches.
        """
        where = f"id IN ({','.join('?' * len(ids))})" if ids else "true"
        due = f"SELECT id FROM promises WHERE {where} AND state = 'pending' AND timeout_at <= ?"  # noqa: S608 - our own words
        late = [row["id"] for row in self.all(due, *ids, now)]
        for promise in late:
            self.run(
                "UPDATE promises SET settled_at = timeout_at,"
                " state = iif(timer, 'resolved', 'rejected_timedout') WHERE id = ?",
                promise,
            )
        self._follow(late, now)

    def _follow(self, settled: list[str], now: int) -> None:
        # All tasks first: one whose own promise settles now must not be woken by another's.
        for promise in settled:
            if self.run(
                "UPDATE tasks SET state = 'fulfilled', pid = NULL, ttl = NULL, due = NULL"
                " WHERE id = ? AND state <> 'fulfilled'",
                promise,
            ):
                self.run("DELETE FROM callbacks WHERE awaiter = ?", promise)
        for promise in settled:
            if self.run("UPDATE callbacks SET ready = 1 WHERE awaited = ?", promise):
                self._wake_awaiters(promise, now)
            self.run(
                "INSERT OR IGNORE INTO unblocks SELECT * FROM listeners WHERE promise = ?", promise
            )
            self.run("DELETE FROM listeners WHERE promise = ?", promise)

    def _wake_awaiters(self, promise: str, now: int) -> None:
        for row in self.all(
            "SELECT t.id FROM callbacks c JOIN tasks t ON t.id = c.awaiter"
            " WHERE c.awaited = ? AND t.state = 'suspended'",
            promise,
        ):
            self.enqueue(row["id"], now)


def to_text(value: Any) -> str:
    """Return a small structure as JSON, as tables hold it."""
    return msgspec.json.encode(value).decode()


def _holds_tags(tags: str, wanted: str) -> bool:
    """Whether every one of the `wanted` tags is among `tags`; both as JSON."""
    return bool(msgspec.json.decode(wanted).items() <= msgspec.json.decode(tags).items())

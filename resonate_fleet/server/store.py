"""The tables: SQLite, in memory or in a file, one transaction a request."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

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

    A file is written in WAL mode: a committed transaction is with the operating system and
    outlives the process, whatever ends it. One process at a time has it open.

    Raises:
        sqlite3.Error: the file cannot be used, or is another program's.
    """

    def __init__(self, path: str = ":memory:") -> None:
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

    def page(self, select: str, where: dict[str, Any], limit: int) -> list[Row]:
        """Return at most `limit` rows in id order that meet those conditions that have a value."""
        given = {condition: value for condition, value in where.items() if value is not None}
        conditions = " AND ".join(given) or "true"
        sql = f"{select} WHERE {conditions} ORDER BY id LIMIT ?"
        return self.all(sql, *given.values(), limit)

    def usable(self) -> bool:
        try:
            return self.one("SELECT 1") is not None
        except sqlite3.Error:
            return False

    def close(self) -> None:
        self._db.close()


def to_text(value: Any) -> str:
    """Return a small structure as a table holds it."""
    return msgspec.json.encode(value).decode()


def _holds_tags(tags: str, wanted: str) -> bool:
    """Whether every one of the `wanted` tags is among `tags`; both as JSON."""
    return bool(
        msgspec.json.decode(wanted).items() <= msgspec.json.decode(tags).items(),
    )

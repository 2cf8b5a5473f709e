"""A store in an SQLite file, which a server may have open at the same time."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from resonate_fleet.contract.clock import now_ms
from resonate_fleet.retention.database import Database, Row, Size, StoreError

#: Rows that one read of `list_candidates` takes.
_PAGE: Final = 20_000
#: Seconds to wait for the server's own transactions.
_LOCK_SECONDS: Final = 10.0
#: The server writes in bursts of a few requests for each job. In seconds: the time without a write
#: that ends a burst, the pause between two checks, the longest wait for such a moment.
QUIET_SECONDS, CHECK_SECONDS, LONGEST_SECONDS = 0.012, 0.002, 0.5
#: Pages in the log at which it is written back here: so few that the server never has to.
_LOG_PAGES: Final = 200


class SqliteFile(Database):
    """Reads never hold the server up; a transaction holds up its writes.

    Raises:
        StoreError: there is no such file, or it is no database.
    """

    family = "COALESCE(origin, root(id))"
    catalogue = (
        "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_xinfo(t.name) c"
        " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"
    )
    transaction_seconds = 0.004
    share = 0.2

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        #: The row of the last promise that has been looked at, in order of creation.
        self._last = 0
        try:
            uri = f"file:{quote(str(self._path.absolute()))}?mode=rw"
            self._db = sqlite3.connect(uri, timeout=_LOCK_SECONDS, isolation_level=None, uri=True)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from None
        self._db.create_function("root", 1, _root, deterministic=True)
        self.rows("PRAGMA foreign_keys = ON")  # what belongs to a promise goes with it
        self.rows("PRAGMA synchronous = NORMAL")  # as the server itself
        self.rows(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")

    def rows(self, sql: str, **values: Any) -> list[Row]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from None

    def await_quiet(
        self,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wait for a pause in the server's writes: it answers 500 if one meets our transaction."""
        now = began = since = clock()
        version = self.value("PRAGMA data_version")
        while now - since < QUIET_SECONDS and now - began < LONGEST_SECONDS:
            sleep(CHECK_SECONDS)
            now = clock()
            seen = self.value("PRAGMA data_version")
            if seen != version:
                version, since = seen, now

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.rows("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.rollback()
            raise
        self.rows("COMMIT")

    def now_ms(self) -> int:
        return now_ms()  # the server is on this machine too

    def size(self) -> Size:
        files = [Path(f"{self._path}{end}") for end in ("", "-wal", "-shm")]
        page = self.value("PRAGMA page_size")
        free = self.value("PRAGMA freelist_count")
        return Size(
            sum(file.stat().st_size for file in files if file.exists()),
            page * free,
            "the file keeps its length and new jobs fill what is free; `sqlite3 FILE VACUUM` "
            "shortens it while no server runs",
        )

    def list_candidates(self, cutoff: int) -> None:
        self.rows("CREATE TEMP TABLE candidates (family TEXT, id TEXT, ended INTEGER)")
        last = self.value("SELECT COALESCE(max(rowid), 0) FROM promises")
        for begin in range(0, last, _PAGE):
            self.rows(
                f"INSERT INTO candidates SELECT {self.family}, id,"
                " state <> 'pending' AND settled_at < :cutoff FROM promises"
                " WHERE rowid > :begin AND rowid <= :end",
                cutoff=cutoff,
                begin=begin,
                end=min(begin + _PAGE, last),
            )
        self._last = last

    def drop_revived(self) -> None:
        self.rows(
            "DELETE FROM families WHERE family IN"
            f" (SELECT {self.family} FROM promises WHERE rowid > :last)",
            last=self._last,
        )
        # SQLite uses the numbers of deleted rows at the end again.
        self._last = self.value("SELECT COALESCE(max(rowid), 0) FROM promises")

    def close(self) -> None:
        self._db.close()


def _root(id: str) -> str:
    return id.partition(":")[0].partition(".")[0]

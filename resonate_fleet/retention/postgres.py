"""A store in a PostgreSQL database (the extra `postgres`)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote

import psycopg

from resonate_fleet.retention.database import Database, Row, Size, StoreError

_MARK: Final = re.compile(r"(?<!:):([a-z]+)")


class Postgres(Database):
    """The server waits for nothing here: only finished rows are touched.

    Raises:
        StoreError: the database cannot be reached.
    """

    family = "COALESCE(origin, split_part(split_part(id, ':', 1), '.', 1))"
    catalogue = (
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema()"
    )
    transaction_seconds = 0.25
    share = 0.5

    def __init__(self, url: str) -> None:
        try:
            self._db = psycopg.connect(url, autocommit=True, connect_timeout=5)
        except psycopg.Error as error:
            raise StoreError(_without_password(_one_line(error), url)) from None

    def rows(self, sql: str, **values: Any) -> list[Row]:
        try:
            done = self._db.execute(_MARK.sub(r"%(\1)s", sql).encode(), values)
            return done.fetchall() if done.description else []
        except psycopg.Error as error:
            raise StoreError(_one_line(error)) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            with self._db.transaction():
                yield
        except psycopg.Error as error:
            raise StoreError(_one_line(error)) from None

    def now_ms(self) -> int:
        return int(self.value("SELECT extract(epoch FROM clock_timestamp()) * 1000"))

    def size(self) -> Size:
        total = self.value("SELECT pg_database_size(current_database())")
        dead, live = self.rows(
            "SELECT sum(n_dead_tup), sum(n_live_tup) FROM pg_stat_user_tables"
            " WHERE schemaname = current_schema()"
        )[0]
        share = (dead or 0) / max(1, (dead or 0) + (live or 0))
        return Size(
            total,
            int(total * share),
            "the database keeps its size and autovacuum makes room for new jobs in it; "
            "`VACUUM FULL` shortens it while no server runs",
        )

    def list_candidates(self, cutoff: int) -> None:
        self.rows("CREATE TEMP TABLE candidates (family TEXT, id TEXT, ended INTEGER)")
        self.rows(
            f"INSERT INTO candidates SELECT {self.family}, id,"
            " (state <> 'pending' AND settled_at < :cutoff)::int FROM promises",
            cutoff=cutoff,
        )

    def drop_revived(self) -> None:
        # An index holds the pending ones only, so this costs nothing for the history.
        self.rows(
            "DELETE FROM families WHERE family IN"
            f" (SELECT {self.family} FROM promises WHERE state = 'pending')"
        )

    def close(self) -> None:
        self._db.close()


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())


def _without_password(text: str, url: str) -> str:
    """Return a message about `url` without its password, which a wrong URL's may quote."""
    _, _, password = url.partition("//")[2].rpartition("@")[0].partition(":")
    for secret in filter(None, (password, unquote(password), *password.split())):
        text = text.replace(secret, "(hidden)")
    return text

"""A store of the real server, of either kind: the schema that it must have, and what it holds."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from resonate_fleet.contract.exits import CommandFailed

#: Tables and columns of server v0.9.8, the same on SQLite and PostgreSQL.
TABLES: Final = {
    "promises": "id state param_headers param_data value_headers value_data tags target origin "
    "branch timer timeout_at created_at settled_at",
    "promise_timeouts": "timeout_at id",
    "callbacks": "awaited_id awaiter_id ready",
    "listeners": "promise_id address",
    "tasks": "id state version",
    "task_timeouts": "timeout_at id timeout_type process_id ttl",
    "outgoing_execute": "id version address",
    "outgoing_unblock": "promise_id address",
    "schedules": "id cron promise_id promise_timeout promise_param_headers promise_param_data "
    "promise_tags created_at next_run_at last_run_at",
    "schedule_timeouts": "timeout_at id",
}
DAY: Final = 86_400_000
#: Upper bounds of the age classes, in days, and the name of the last one.
AGES: Final = {"1 day": 1, "7 days": 7, "30 days": 30, "90 days": 90}
OLDER: Final = "older"

#: A row of an answer.
type Row = tuple[Any, ...]


class StoreError(CommandFailed):
    """The store cannot be used, or not now; the text is one line for the user."""


@dataclass(frozen=True)
class Size:
    """Bytes on disk, the free ones among them, and advice on how to give these back."""

    total: int
    free: int
    advice: str


class Database(ABC):
    """One open store. Each failure raises `StoreError`."""

    #: SQL for the family of a promise: its origin, else its id up to the first separator.
    family: str
    #: SQL for table and column of all tables.
    catalogue: str
    #: Seconds that one transaction should take, and the share of the time that all may take.
    transaction_seconds: float
    share: float

    @abstractmethod
    def rows(self, sql: str, **values: Any) -> list[Row]:
        """Run one statement; return its rows, if it has any."""

    def await_quiet(self) -> None:  # noqa: B027 - most stores need no such thing
        """Wait for a moment in which a transaction is unlikely to hold the server up."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Do all or nothing of what is run inside. The server may have to wait until it ends."""

    def value(self, sql: str, **values: Any) -> Any:
        """Return the one value that `sql` asks for."""
        return self.rows(sql, **values)[0][0]

    def check(self) -> None:
        """Refuse a store whose tables are not exactly those of the pinned version.

        Raises:
            StoreError: with the tables that differ.
        """
        known = {name: set(columns.split()) for name, columns in TABLES.items()}
        found: dict[str, set[str]] = {}
        for table, column in self.rows(self.catalogue):
            found.setdefault(table, set()).add(column)
        names = sorted(found.keys() | known)
        differing = ", ".join(name for name in names if found.get(name) != known.get(name))
        if differing:
            raise StoreError(f"not a store of server v0.9.8: {differing} missing or different")

    @abstractmethod
    def now_ms(self) -> int:
        """Return the time, Unix milliseconds, by the clock nearest to the server's."""

    @abstractmethod
    def size(self) -> Size: ...

    @abstractmethod
    def list_candidates(self, cutoff: int) -> None:
        """Fill `candidates (family, id, ended)`; `ended`: the promise was settled by `cutoff`."""

    @abstractmethod
    def drop_revived(self) -> None:
        """Delete from `families` those that got a promise after `list_candidates`.

        On PostgreSQL those with a pending one.
        """

    @abstractmethod
    def close(self) -> None: ...


@dataclass(frozen=True)
class StoreContents:
    """`promises` and `tasks` count by state; `ages` the settled promises by age and state."""

    size: Size
    promises: dict[str, int]
    tasks: dict[str, int]
    ages: dict[str, dict[str, int]]
    schedules: int


def contents(database: Database, now: int) -> StoreContents:
    """Read the whole store once. `now` is in Unix milliseconds."""
    cases = " ".join(
        f"WHEN settled_at >= {now - days * DAY} THEN '{name}'" for name, days in AGES.items()
    )
    ages: dict[str, dict[str, int]] = {name: {} for name in (*AGES, OLDER)}
    promises: dict[str, int] = {}
    for age, state, count in database.rows(
        f"SELECT CASE {cases} ELSE '{OLDER}' END, state, count(*) FROM promises GROUP BY 1, 2"
    ):
        promises[state] = promises.get(state, 0) + count
        if state != "pending":
            ages[age][state] = count
    tasks = {
        str(state): int(count)
        for state, count in database.rows("SELECT state, count(*) FROM tasks GROUP BY state")
    }
    schedules = database.value("SELECT count(*) FROM schedules")
    return StoreContents(database.size(), promises, tasks, ages, schedules)

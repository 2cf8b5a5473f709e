"""A store of the real server, of either kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from resonate_fleet.contract.exits import CommandFailed

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
        """Do all or nothing of what is run inside. At worst the server waits for its end."""

    def columns(self) -> Mapping[str, set[str]]:
        """Return the names of the columns of each table."""
        found: dict[str, set[str]] = {}
        for table, column in self.rows(self.catalogue):
            found.setdefault(table, set()).add(column)
        return found

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


def value(database: Database, sql: str, **values: Any) -> Any:
    """Return the one value that `sql` asks for."""
    return database.rows(sql, **values)[0][0]

"""Deletes old jobs from the store: whole finished families, in small transactions.

A family is a job with its children, by their common origin. It may go when all its promises were
settled before the cutoff, all its tasks are finished, nothing waits for it and no schedule names
it. All this is checked again in the transaction that deletes it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from resonate_fleet.retention.database import Database, Row

#: Families in one transaction: at least, and in the first one, and at most.
LEAST: Final = 10
MOST: Final = 5_000

#: True of a promise `x` that must stay. Every table has an index for it.
_STAYS: Final = """
NOT EXISTS (SELECT 1 FROM promises p WHERE p.id = x.id AND p.state <> 'pending'
  AND p.settled_at < :cutoff)
OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = x.id AND t.state <> 'fulfilled')
OR EXISTS (SELECT 1 FROM callbacks c WHERE c.awaited_id = x.id)
OR EXISTS (SELECT 1 FROM callbacks c WHERE c.awaiter_id = x.id)
OR EXISTS (SELECT 1 FROM listeners l WHERE l.promise_id = x.id)
OR EXISTS (SELECT 1 FROM outgoing_unblock o WHERE o.promise_id = x.id)
"""


@dataclass(frozen=True)
class Count:
    """A number of families, and of the promises in them."""

    families: int = 0
    promises: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.families + other.families, self.promises + other.promises)


class Prune:
    """Plans and does the deletion in one store. `cutoff` is in Unix milliseconds."""

    def __init__(
        self,
        database: Database,
        cutoff: int,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._run = database.rows
        self._cutoff = cutoff
        self._sleep = sleep
        self._clock = clock
        self._after = ""

    def plan(self) -> Count:
        """Find what may go, without holding up the server. To be called once."""
        self._database.list_candidates(self._cutoff)
        self._run(
            "CREATE TEMP TABLE families AS SELECT family, count(*) AS promises FROM candidates"
            " GROUP BY family HAVING min(ended) = 1"
        )
        self._run("CREATE UNIQUE INDEX families_by_name ON families (family)")
        self._run(
            "DELETE FROM candidates WHERE NOT EXISTS"
            " (SELECT 1 FROM families f WHERE f.family = candidates.family)"
        )
        self._run("CREATE INDEX candidates_by_family ON candidates (family)")
        self._run("ANALYZE candidates")
        self._run("ANALYZE families")
        self._keep_what_stays("true")
        counts = self._run("SELECT count(*), COALESCE(sum(promises), 0) FROM families")[0]
        return Count(*map(int, counts))

    def run(self) -> Iterator[Count]:
        """Delete what was planned; yield what each transaction deleted."""
        size, share = LEAST, self._database.share
        while until := self._last_of_next(size):
            self._database.await_quiet()
            began = self._clock()
            with self._database.transaction():
                done = self._delete(until)
            took = max(self._clock() - began, 0.0001)
            yield done
            fitting = int(size * self._database.transaction_seconds / took)
            size = max(LEAST, min(MOST, 2 * size, fitting))
            self._sleep(took * (1 / share - 1))

    def _last_of_next(self, size: int) -> str:
        """Return the last of the next `size` families, "" if there are no more."""
        names = self._run(
            "SELECT family FROM families WHERE family > :after ORDER BY family LIMIT :size",
            after=self._after,
            size=size,
        )
        return str(names[-1][0]) if names else ""

    def _delete(self, until: str) -> Count:
        """Delete the families up to `until` that may still go."""
        self._database.drop_revived()
        span = "x.family > :after AND x.family <= :until"
        bounds = {"after": self._after, "until": until}
        self._keep_what_stays(span, **bounds)
        going = f"FROM candidates x JOIN families f ON f.family = x.family WHERE {span}"
        counts = self._run(f"SELECT count(DISTINCT x.family), count(*) {going}", **bounds)[0]
        self._run(f"DELETE FROM promises WHERE id IN (SELECT x.id {going})", **bounds)
        self._after = until
        return Count(*counts)

    def _keep_what_stays(self, span: str, **bounds: Any) -> None:
        """Take the families in `span` that must stay off the plan."""
        self._run(
            "DELETE FROM families WHERE family IN"
            f" (SELECT x.family FROM candidates x WHERE {span} AND ({_STAYS}))",
            cutoff=self._cutoff,
            **bounds,
        )
        rows = self._run("SELECT id, promise_id, next_run_at, last_run_at FROM schedules")
        for name in scheduled(rows):
            self._run(
                f"DELETE FROM families WHERE family IN (SELECT {self._database.family}"
                " FROM promises WHERE id = :name)",
                name=name,
            )


def scheduled(rows: list[Row]) -> set[str]:
    """Return the ids that schedules name: those of their last and next runs.

    A row is a schedule's id, its template, and when it runs next and ran last.
    """
    return {
        template.replace("{{.id}}", id).replace("{{.timestamp}}", str(at))
        for id, template, *times in rows  # noqa: A001 - the protocol's own word
        for at in times
        if at is not None
    }

"""What follows when a promise settles or runs out of time, and how a task becomes claimable.

The order of effects is the real server's (v0.9.8, `persistence_sqlite.rs`): the promise's own
task is fulfilled, tasks that waited for the promise become claimable, listeners are notified.
"""

from collections.abc import Iterable

from resonate_fleet.server.protocol import MAX, PromiseSettle
from resonate_fleet.server.store import Store, to_text


class Tables:
    """The store with the moves that several requests share. `retry` is in milliseconds."""

    def __init__(self, store: Store, retry: int) -> None:
        self.store = store
        self.retry = retry

    def enqueue(self, id: str, now: int) -> None:
        """Make the task pending, queue its hint, and have it queued again after `retry`."""
        self.store.run(
            "UPDATE tasks SET state = 'pending', pid = NULL, ttl = NULL, due = ? WHERE id = ?",
            min(now + self.retry, MAX),
            id,
        )
        self.store.run(
            "INSERT INTO executes SELECT id, version, target FROM tasks WHERE id = ?"
            " ON CONFLICT (id) DO UPDATE SET version = excluded.version",
            id,
        )

    def settle(self, asked: PromiseSettle, now: int) -> bool:
        """Settle a pending promise; False where there is none."""
        changed = self.store.run(
            "UPDATE promises SET state = ?, value = ?, settled_at = ?"
            " WHERE id = ? AND state = 'pending'",
            asked.state,
            to_text(asked.value),
            now,
            asked.id,
        )
        if changed:
            self._follow([asked.id], now)
        return bool(changed)

    def expire(self, now: int, *ids: str) -> None:
        """Settle those of `ids` whose time is up: every request does this to what it touches."""
        self._expire(now, f"id IN ({','.join('?' * len(ids))})", *ids)

    def expire_all(self, now: int) -> None:
        """Settle every promise whose time is up."""
        self._expire(now, "true")

    def _expire(self, now: int, where: str, *values: str) -> None:
        due = f"SELECT id FROM promises WHERE {where} AND state = 'pending' AND timeout_at <= ?"  # noqa: S608 - our own words
        ids = [row["id"] for row in self.store.all(due, *values, now)]
        for promise in ids:
            self.store.run(
                "UPDATE promises SET settled_at = timeout_at,"
                " state = iif(timer, 'resolved', 'rejected_timedout') WHERE id = ?",
                promise,
            )
        self._follow(ids, now)

    def _follow(self, ids: Iterable[str], now: int) -> None:
        # All tasks first: one whose own promise settles now must not be woken by another's.
        for promise in ids:
            self.fulfil(promise)
        for promise in ids:
            self._wake_awaiters(promise, now)
            self._notify_listeners(promise)

    def fulfil(self, id: str) -> None:
        """End the task of a settled promise; it waits for nothing any more."""
        ended = self.store.run(
            "UPDATE tasks SET state = 'fulfilled', pid = NULL, ttl = NULL, due = NULL"
            " WHERE id = ? AND state <> 'fulfilled'",
            id,
        )
        if ended:
            self.store.run("DELETE FROM callbacks WHERE awaiter = ?", id)

    def _wake_awaiters(self, id: str, now: int) -> None:
        if not self.store.run("UPDATE callbacks SET ready = 1 WHERE awaited = ?", id):
            return
        for row in self.store.all(
            "SELECT t.id FROM callbacks c JOIN tasks t ON t.id = c.awaiter"
            " WHERE c.awaited = ? AND t.state = 'suspended'",
            id,
        ):
            self.enqueue(row["id"], now)

    def _notify_listeners(self, id: str) -> None:
        self.store.run(
            "INSERT OR IGNORE INTO unblocks SELECT * FROM listeners WHERE promise = ?", id
        )
        self.store.run("DELETE FROM listeners WHERE promise = ?", id)

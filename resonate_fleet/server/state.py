"""The server without clock, network and loops: requests in, replies and messages out."""

from collections.abc import Callable
from typing import Any, NamedTuple

from resonate_fleet.server import promises, protocol, schedules, tasks
from resonate_fleet.server.protocol import Named, RefusedRequest, ServerReply, parse
from resonate_fleet.server.store import Store

#: Type and effect of each kind of request.
_KINDS: dict[str, tuple[type[Any], Callable[..., ServerReply]]] = {
    "promise.get": (Named, promises.get),
    "promise.create": (protocol.PromiseCreate, promises.create),
    "promise.settle": (protocol.PromiseSettle, promises.settle),
    "promise.register_callback": (protocol.RegisterCallback, promises.register_callback),
    "promise.register_listener": (protocol.RegisterListener, promises.register_listener),
    "promise.search": (protocol.PromiseSearch, promises.search),
    "task.get": (Named, tasks.get),
    "task.create": (protocol.TaskCreate, tasks.create),
    "task.acquire": (protocol.TaskAcquire, tasks.acquire),
    "task.release": (protocol.TaskAtVersion, tasks.release),
    "task.fulfill": (protocol.TaskFulfill, tasks.fulfill),
    "task.suspend": (protocol.TaskSuspend, tasks.suspend),
    "task.heartbeat": (protocol.TaskHeartbeat, tasks.heartbeat),
    "task.halt": (Named, tasks.halt),
    "task.continue": (Named, tasks.resume),
    "task.search": (protocol.TaskSearch, tasks.search),
    "schedule.get": (Named, schedules.get),
    "schedule.create": (protocol.ScheduleCreate, schedules.create),
    "schedule.delete": (Named, schedules.delete),
    "schedule.search": (protocol.ScheduleSearch, schedules.search),
}


class Message(NamedTuple):
    """Something to deliver: `kind` is `execute` (a hint) or `unblock` (a promise settled)."""

    address: str
    kind: str
    data: dict[str, Any]


class State:
    """All promises and tasks. Times are Unix milliseconds and come with each call.

    `one_origin` makes heartbeats as strict as the server's main branch.
    """

    def __init__(self, store: Store, *, one_origin: bool = False) -> None:
        self._store = store
        self._kinds = dict(_KINDS)
        if one_origin:
            self._kinds["task.heartbeat"] = (protocol.OneOriginHeartbeat, tasks.heartbeat)

    def apply(self, now: int, kind: str, data: Any, corr_id: str = "0") -> ServerReply:
        """Answer one request. A refusal changes nothing but what time has changed anyway."""
        with self._store.transaction():
            try:
                return self._answer(now, kind, data, corr_id)
            except RefusedRequest as refused:
                return refused.reply

    def _answer(self, now: int, kind: str, data: Any, corr_id: str) -> ServerReply:
        if kind == "task.fence":
            return tasks.fence(self._store, now, parse(protocol.TaskFence, data), corr_id)
        if kind.startswith("debug."):
            raise RefusedRequest(403, "Debug requests are disabled")
        if kind not in self._kinds:
            raise RefusedRequest(400, f"Unknown operation: {kind}")
        shape, effect = self._kinds[kind]
        return effect(self._store, now, parse(shape, data))

    def tick(self, now: int) -> int:
        """Do what is due by time: promises that run out, unclaimed tasks, lapsed leases, schedules.

        Return how many schedules ran.
        """
        with self._store.transaction():
            self._store.expire(now)
            for state in ("pending", "acquired"):
                for row in self._store.all(
                    "SELECT id FROM tasks WHERE state = ? AND due <= ?", state, now
                ):
                    self._store.enqueue(row["id"], now)
            return schedules.run_due(self._store, now)

    def outgoing(self, limit: int) -> list[Message]:
        """Return what is queued: at most `limit` hints and `limit` others, each in id order."""
        hints = [
            Message(
                row["address"], "execute", {"task": {"id": row["id"], "version": row["version"]}}
            )
            for row in self._store.all("SELECT * FROM executes ORDER BY id LIMIT ?", limit)
        ]
        settled = self._store.all(
            "SELECT u.address, p.* FROM unblocks u JOIN promises p ON p.id = u.promise"
            " ORDER BY u.promise, u.address LIMIT ?",
            limit,
        )
        others = (
            Message(row["address"], "unblock", {"promise": promises.record(row)}) for row in settled
        )
        return [*hints, *others]

    def take_outgoing(self, limit: int) -> list[Message]:
        """Return what is queued, as `outgoing`, and take it off the queue."""
        taken = self.outgoing(limit)
        if not taken:  # an idle server writes nothing
            return []
        with self._store.transaction():
            for address, kind, data in taken:
                if kind == "execute":
                    self._store.run("DELETE FROM executes WHERE id = ?", data["task"]["id"])
                else:
                    self._store.run(
                        "DELETE FROM unblocks WHERE promise = ? AND address = ?",
                        *(data["promise"]["id"], address),
                    )
        return taken

"""What each `task.*` request does."""

from resonate_fleet.contract.words import PROTOCOL, TAG_TARGET
from resonate_fleet.server import promises, protocol
from resonate_fleet.server.promises import Record, preload
from resonate_fleet.server.protocol import MAX, RefusedRequest, ServerReply, parse
from resonate_fleet.server.store import Row, Store
from resonate_fleet.server.streams import check_address

_SELECT = (
    "SELECT id, state, version, pid, ttl, (SELECT count(*) FROM callbacks"
    " WHERE awaiter = tasks.id AND ready) AS resumes FROM tasks"
)


def get(store: Store, now: int, asked: protocol.Named) -> ServerReply:
    store.expire(now, asked.id)
    return ServerReply(200, {"task": _found(store, asked.id)})


def create(store: Store, now: int, asked: protocol.TaskCreate) -> ServerReply:
    """Create a promise and claim its task in one step."""
    promise = asked.action.data
    target = check_address(promise.tags[TAG_TARGET])
    store.expire(now, promise.id)
    late = now >= promise.timeout_at
    if promises.insert(store, now, promise, now):
        promises.add_task(store, promise.id, target, "fulfilled" if late else "pending")
    task = _find(store, promise.id)
    if task is None:
        raise RefusedRequest(422, "The promise exists and has no task")
    if task["state"] == "fulfilled":
        return _claimed(store, promise.id, [])
    if task["state"] != "pending":
        raise RefusedRequest(409, "The task exists and is not pending")
    _claim(store, now, promise.id, asked.pid, asked.ttl)
    return _claimed(store, promise.id, preload(store, promise.id))


def acquire(store: Store, now: int, asked: protocol.TaskAcquire) -> ServerReply:
    store.expire(now, asked.id)
    task = _found(store, asked.id)
    if task["state"] != "pending" or task["version"] != asked.version:
        raise RefusedRequest(409, "The task is not pending at this version")
    _claim(store, now, asked.id, asked.pid, asked.ttl)
    return _claimed(store, asked.id, preload(store, asked.id))


def _claim(store: Store, now: int, id: str, pid: str, ttl: int) -> None:
    store.run(
        "UPDATE tasks SET state = 'acquired', version = version + 1, pid = ?, ttl = ?, due = ?"
        " WHERE id = ?",
        *(pid, ttl, min(now + ttl, MAX), id),
    )
    _forget_ready(store, id)


def _forget_ready(store: Store, id: str) -> None:
    """Whoever runs the task sees by itself which of the awaited promises are settled."""
    store.run("DELETE FROM callbacks WHERE awaiter = ? AND ready", id)


def _claimed(store: Store, id: str, others: list[Record]) -> ServerReply:
    task, promise = _found(store, id), promises.found(store, id)
    return ServerReply(200, {"task": task, "promise": promise, "preload": others})


def release(store: Store, now: int, asked: protocol.TaskAtVersion) -> ServerReply:
    store.expire(now, asked.id)
    _held(store, asked.id, asked.version)
    store.enqueue(asked.id, now)
    return ServerReply(200, {})


def fulfill(store: Store, now: int, asked: protocol.TaskFulfill) -> ServerReply:
    store.expire(now, asked.id)
    _held(store, asked.id, asked.version)
    store.settle(asked.action.data, now)
    return ServerReply(200, {"promise": promises.found(store, asked.id)})


def suspend(store: Store, now: int, asked: protocol.TaskSuspend) -> ServerReply:
    """Put the task to sleep until one of the promises settles; 300 if one has."""
    awaited = {action.data.awaited for action in asked.actions}
    store.expire(now, asked.id, *awaited)
    _held(store, asked.id, asked.version)
    others = [promises.find(store, other) for other in awaited]
    if None in others:
        raise RefusedRequest(422, "An awaited promise does not exist")
    _forget_ready(store, asked.id)
    if any(other["state"] != "pending" for other in others if other):
        return ServerReply(300, {"preload": preload(store, asked.id)})
    for other in awaited:
        store.run(
            "INSERT OR IGNORE INTO callbacks (awaited, awaiter) VALUES (?, ?)", other, asked.id
        )
    _put_aside(store, asked.id, "suspended")
    return ServerReply(200, {})


def fence(store: Store, now: int, asked: protocol.TaskFence, corr_id: str) -> ServerReply:
    """Create or settle a promise if the task is still held at the version: a fenced write."""
    store.expire(now, asked.id, asked.action.id)
    kind, data = asked.action.kind, asked.action.data
    if kind == "promise.create":
        new = parse(protocol.PromiseCreate, data)
        check_address(new.tags.get(TAG_TARGET, "poll://any@nobody"))
        _held(store, asked.id, asked.version)
        inner = promises.create(store, now, new)
    elif kind == "promise.settle":
        verdict = parse(protocol.PromiseSettle, data)
        _held(store, asked.id, asked.version)
        inner = _settled(store, now, verdict)
    else:
        raise RefusedRequest(400, f"Not an action that can be fenced: {kind!r}")
    head = {"corrId": corr_id, "status": inner.status, "version": PROTOCOL}
    action = {"kind": kind, "head": head, "data": inner.data}
    return ServerReply(200, {"action": action, "preload": preload(store, asked.id)})


def _settled(store: Store, now: int, verdict: protocol.PromiseSettle) -> ServerReply:
    """Settle; a promise that is not there is told inside the answer, not instead of it."""
    try:
        return promises.settle(store, now, verdict)
    except RefusedRequest as refused:
        return refused.reply


def heartbeat(store: Store, now: int, asked: protocol.TaskHeartbeat) -> ServerReply:
    """Extend the leases that are really held; nothing is said about the others."""
    for beat in asked.tasks:
        store.run(
            "UPDATE tasks SET due = min(? + ttl, ?)"
            " WHERE id = ? AND version = ? AND pid = ? AND state = 'acquired'",
            *(now, MAX, beat.id, beat.version, asked.pid),
        )
    return ServerReply(200, {})


def halt(store: Store, now: int, asked: protocol.Named) -> ServerReply:
    store.expire(now, asked.id)
    if _found(store, asked.id)["state"] == "fulfilled":
        raise RefusedRequest(409, "The task is fulfilled")
    _put_aside(store, asked.id, "halted")
    return ServerReply(200, {})


def resume(store: Store, now: int, asked: protocol.Named) -> ServerReply:
    """`task.continue`: make a halted task claimable."""
    store.expire(now, asked.id)
    if _found(store, asked.id)["state"] != "halted":
        raise RefusedRequest(409, "The task is not halted")
    store.enqueue(asked.id, now)
    return ServerReply(200, {})


def search(store: Store, _now: int, asked: protocol.TaskSearch) -> ServerReply:
    where = {"state = ?": asked.state, "id > ?": asked.cursor}
    rows, more = store.page(_SELECT, where, asked.limit or 100)
    return ServerReply(200, {"tasks": [_record(row) for row in rows], **more})


def _held(store: Store, id: str, version: int) -> None:
    """Raise unless the task is acquired at `version`: 404 without a task, else 409."""
    task = _found(store, id)
    if task["state"] != "acquired" or task["version"] != version:
        raise RefusedRequest(409, "The task is not acquired at this version")


def _put_aside(store: Store, id: str, state: str) -> None:
    store.run(
        "UPDATE tasks SET state = ?, pid = NULL, ttl = NULL, due = NULL WHERE id = ?", state, id
    )


def _found(store: Store, id: str) -> Record:
    task = _find(store, id)
    if task is None:
        raise RefusedRequest(404, "Task not found")
    return task


def _find(store: Store, id: str) -> Record | None:
    row = store.one(f"{_SELECT} WHERE id = ?", id)
    return _record(row) if row else None


def _record(row: Row) -> Record:
    """Return a task in its wire form: `pid` and `ttl` only while it is acquired."""
    return {name: row[name] for name in row.keys() if row[name] is not None}  # noqa: SIM118 - a Row

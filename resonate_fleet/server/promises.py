"""What each `promise.*` request does."""

from typing import Any

import msgspec

from resonate_fleet.contract.words import TAG_BRANCH, TAG_TARGET, TAG_TIMER
from resonate_fleet.server import protocol
from resonate_fleet.server.protocol import RefusedRequest, ServerReply
from resonate_fleet.server.store import Row, Store, to_text
from resonate_fleet.server.streams import check_address

Record = dict[str, Any]


def get(store: Store, now: int, asked: protocol.Named) -> ServerReply:
    store.expire(now, asked.id)
    return ServerReply(200, {"promise": found(store, asked.id)})


def create(store: Store, now: int, asked: protocol.PromiseCreate) -> ServerReply:
    """Create the promise with its task, if it has a target, or return what has the id already."""
    if TAG_TARGET in asked.tags:
        check_address(asked.tags[TAG_TARGET])
    store.expire(now, asked.id)
    add(store, now, asked, now)
    return ServerReply(200, {"promise": found(store, asked.id)})


def add(store: Store, now: int, asked: protocol.NewPromise, created: int) -> None:
    """Add the promise as of `created`, with its task if it has a target, unless the id is taken."""
    target = asked.tags.get(TAG_TARGET)
    if insert(store, now, asked, created) and target is not None:
        add_task(store, asked.id, target, "fulfilled" if now >= asked.timeout_at else "pending")
        if now < asked.timeout_at:
            store.enqueue(asked.id, created)


def insert(store: Store, now: int, asked: protocol.NewPromise, created: int) -> bool:
    """Add the promise alone; False where the id is taken. One whose time is up is born settled."""
    timer = asked.tags.get(TAG_TIMER) == "true"
    late = now >= asked.timeout_at
    state = "pending" if not late else "resolved" if timer else "rejected_timedout"
    added = store.run(
        "INSERT OR IGNORE INTO promises VALUES (?, ?, ?, '{}', ?, ?, ?, ?, ?, ?)",
        *(asked.id, state, to_text(asked.param), to_text(asked.tags), asked.tags.get(TAG_BRANCH)),
        *(timer, asked.timeout_at, min(created, asked.timeout_at)),
        asked.timeout_at if late else None,
    )
    return added > 0


def add_task(store: Store, id: str, target: str, state: str) -> None:
    store.run(
        "INSERT INTO tasks (id, state, version, target) VALUES (?, ?, 0, ?)", id, state, target
    )


def settle(store: Store, now: int, asked: protocol.PromiseSettle) -> ServerReply:
    store.expire(now, asked.id)
    store.settle(asked, now)
    return ServerReply(200, {"promise": found(store, asked.id)})


def register_callback(store: Store, now: int, asked: protocol.RegisterCallback) -> ServerReply:
    """Have a task woken when another promise settles; at once if that has happened."""
    store.expire(now, asked.awaited, asked.awaiter)
    awaited = found(store, asked.awaited)
    awaiter = find(store, asked.awaiter)
    if awaiter is None or TAG_TARGET not in awaiter["tags"]:
        raise RefusedRequest(422, "The awaiter is no promise with a task")
    task = store.one("SELECT state FROM tasks WHERE id = ?", asked.awaiter)
    state = task["state"] if task else "fulfilled"
    if awaited["state"] == "pending":
        if awaiter["state"] == "pending":
            _await(store, asked, ready=False)
    elif state in ("suspended", "pending", "acquired"):
        if state == "suspended":
            store.enqueue(asked.awaiter, now)
        _await(store, asked, ready=True)
    return ServerReply(200, {"promise": awaited})


def _await(store: Store, asked: protocol.RegisterCallback, *, ready: bool) -> None:
    store.run(
        "INSERT OR IGNORE INTO callbacks VALUES (?, ?, ?)", asked.awaited, asked.awaiter, ready
    )


def register_listener(store: Store, now: int, asked: protocol.RegisterListener) -> ServerReply:
    address = check_address(asked.address)
    store.expire(now, asked.awaited)
    promise = found(store, asked.awaited)
    if promise["state"] == "pending":
        store.run("INSERT OR IGNORE INTO listeners VALUES (?, ?)", asked.awaited, address)
    return ServerReply(200, {"promise": promise})


def search(store: Store, _now: int, asked: protocol.PromiseSearch) -> ServerReply:
    """One page in id order. Promises whose time is up may still show as pending, as there."""
    where = {
        "state = ?": asked.state,
        "id > ?": asked.cursor,
        "holds_tags(tags, ?)": to_text(asked.tags) if asked.tags else None,
    }
    rows, more = store.page("SELECT * FROM promises", where, asked.limit or 100)
    return ServerReply(200, {"promises": [record(row) for row in rows], **more})


def found(store: Store, id: str) -> Record:
    """Return the promise.

    Raises:
        RefusedRequest: 404, there is none.
    """
    promise = find(store, id)
    if promise is None:
        raise RefusedRequest(404, "Promise not found")
    return promise


def find(store: Store, id: str) -> Record | None:
    row = store.one("SELECT * FROM promises WHERE id = ?", id)
    return record(row) if row else None


def preload(store: Store, id: str) -> list[Record]:
    """Return the other promises of the same branch, which the claimant will ask for next."""
    rows = store.all(
        "SELECT o.* FROM promises p JOIN promises o ON o.branch = p.branch"
        " WHERE p.id = ? AND o.id <> p.id ORDER BY o.id",
        id,
    )
    return [record(row) for row in rows]


def record(row: Row) -> Record:
    """Return a promise in its wire form."""
    promise = {
        "id": row["id"],
        "state": row["state"],
        "param": msgspec.json.decode(row["param"]),
        "value": msgspec.json.decode(row["value"]),
        "tags": msgspec.json.decode(row["tags"]),
        "timeoutAt": row["timeout_at"],
        "createdAt": row["created_at"],
    }
    if row["settled_at"] is not None:
        promise["settledAt"] = row["settled_at"]
    return promise

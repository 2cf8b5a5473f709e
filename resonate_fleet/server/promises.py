"""What each `promise.*` request does."""

from typing import Any

import msgspec

from resonate_fleet.server import addresses
from resonate_fleet.server.protocol import (
    BRANCH,
    TARGET,
    TIMER,
    Named,
    NewPromise,
    PromiseCreate,
    PromiseSearch,
    PromiseSettle,
    RefusedRequest,
    RegisterCallback,
    RegisterListener,
    ServerReply,
)
from resonate_fleet.server.settlement import Tables
from resonate_fleet.server.store import Row, to_text

Record = dict[str, Any]


def get(tables: Tables, now: int, asked: Named) -> ServerReply:
    tables.expire(now, asked.id)
    return ServerReply(200, {"promise": found(tables, asked.id)})


def create(tables: Tables, now: int, asked: PromiseCreate) -> ServerReply:
    return ServerReply(200, {"promise": create_once(tables, now, asked)})


def create_once(tables: Tables, now: int, asked: PromiseCreate) -> Record:
    """Create the promise with its task, if it has a target, or return what has the id already."""
    target = asked.tags.get(TARGET)
    if target is not None:
        addresses.check(target)
    tables.expire(now, asked.id)
    add(tables, now, asked, now)
    return found(tables, asked.id)


def add(tables: Tables, now: int, asked: NewPromise, created: int) -> None:
    """Add the promise as of `created`, with its task if it has a target, unless the id is taken."""
    target = asked.tags.get(TARGET)
    if insert(tables, now, asked, created) and target is not None:
        add_task(tables, asked.id, target, "fulfilled" if now >= asked.timeout_at else "pending")
        if now < asked.timeout_at:
            tables.enqueue(asked.id, created)


def insert(tables: Tables, now: int, asked: NewPromise, created: int) -> bool:
    """Add the promise alone; False where the id is taken. One whose time is up is born settled."""
    timer = asked.tags.get(TIMER) == "true"
    late = now >= asked.timeout_at
    state = "pending" if not late else "resolved" if timer else "rejected_timedout"
    return bool(
        tables.store.run(
            "INSERT OR IGNORE INTO promises VALUES (?, ?, ?, '{}', ?, ?, ?, ?, ?, ?)",
            asked.id,
            state,
            to_text(asked.param),
            to_text(asked.tags),
            asked.tags.get(BRANCH),
            timer,
            asked.timeout_at,
            min(created, asked.timeout_at),
            asked.timeout_at if late else None,
        )
    )


def add_task(tables: Tables, id: str, target: str, state: str) -> None:
    tables.store.run(
        "INSERT INTO tasks (id, state, version, target) VALUES (?, ?, 0, ?)", id, state, target
    )


def settle(tables: Tables, now: int, asked: PromiseSettle) -> ServerReply:
    tables.expire(now, asked.id)
    tables.settle(asked, now)
    return ServerReply(200, {"promise": found(tables, asked.id)})


def register_callback(tables: Tables, now: int, asked: RegisterCallback) -> ServerReply:
    """Have a task woken when another promise settles; at once if that has happened."""
    tables.expire(now, asked.awaited, asked.awaiter)
    awaited = found(tables, asked.awaited)
    awaiter = find(tables, asked.awaiter)
    if awaiter is None or TARGET not in awaiter["tags"]:
        raise RefusedRequest(422, "The awaiter is no promise with a task")
    task = tables.store.one("SELECT state FROM tasks WHERE id = ?", asked.awaiter)
    state = task["state"] if task else "fulfilled"
    if awaited["state"] == "pending":
        if awaiter["state"] == "pending":
            _await(tables, asked, ready=False)
    elif state in ("suspended", "pending", "acquired"):
        if state == "suspended":
            tables.enqueue(asked.awaiter, now)
        _await(tables, asked, ready=True)
    return ServerReply(200, {"promise": awaited})


def _await(tables: Tables, asked: RegisterCallback, *, ready: bool) -> None:
    tables.store.run(
        "INSERT OR IGNORE INTO callbacks VALUES (?, ?, ?)", asked.awaited, asked.awaiter, ready
    )


def register_listener(tables: Tables, now: int, asked: RegisterListener) -> ServerReply:
    address = addresses.check(asked.address)
    tables.expire(now, asked.awaited)
    promise = found(tables, asked.awaited)
    if promise["state"] == "pending":
        tables.store.run("INSERT OR IGNORE INTO listeners VALUES (?, ?)", asked.awaited, address)
    return ServerReply(200, {"promise": promise})


def search(tables: Tables, _now: int, asked: PromiseSearch) -> ServerReply:
    """One page in id order. Promises whose time is up may still show as pending, as there."""
    limit = asked.limit or 100
    where = {
        "state = ?": asked.state,
        "id > ?": asked.cursor,
        "holds_tags(tags, ?)": to_text(asked.tags) if asked.tags else None,
    }
    rows = tables.store.page("SELECT * FROM promises", where, limit + 1)
    return ServerReply(200, page("promises", [record(row) for row in rows], limit))


def page(name: str, records: list[Record], limit: int) -> Record:
    """Return at most `limit` records, with the cursor of the next page if there are more."""
    shown: Record = {name: records[:limit]}
    if len(records) > limit:
        shown["cursor"] = records[limit - 1]["id"]
    return shown


def found(tables: Tables, id: str) -> Record:
    """Return the promise.

    Raises:
        RefusedRequest: 404, there is none.
    """
    promise = find(tables, id)
    if promise is None:
        raise RefusedRequest(404, "Promise not found")
    return promise


def find(tables: Tables, id: str) -> Record | None:
    row = tables.store.one("SELECT * FROM promises WHERE id = ?", id)
    return record(row) if row else None


def preload(tables: Tables, id: str) -> list[Record]:
    """Return the other promises of the same branch, which the claimant will ask for next."""
    rows = tables.store.all(
        "SELECT o.* FROM promises p JOIN promises o ON o.branch = p.branch"
        " WHERE p.id = ? AND o.id <> p.id ORDER BY o.id",
        id,
    )
    return [record(row) for row in rows]


def record(row: Row) -> Record:
    """Return a promise as it travels."""
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

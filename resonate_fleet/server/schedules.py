"""What each `schedule.*` request does, and what a run of a schedule creates."""

import msgspec

from resonate_fleet.contract.words import OWN_TAGS
from resonate_fleet.server import promises, protocol
from resonate_fleet.server.cron import Cron
from resonate_fleet.server.promises import Record
from resonate_fleet.server.protocol import MAX, RefusedRequest, ServerReply
from resonate_fleet.server.store import Row, Store, to_text

#: Tags that say whose run a promise is, and that it is the root of a family of its own.
SCHEDULE = "resonate:schedule"
ROOT = (*OWN_TAGS, "resonate:prefix")


def get(store: Store, _now: int, asked: protocol.Named) -> ServerReply:
    return ServerReply(200, {"schedule": _found(store, asked.id)})


def create(store: Store, now: int, asked: protocol.ScheduleCreate) -> ServerReply:
    """Add the schedule, or return what has the id already."""
    try:
        next_run = Cron(asked.cron).next(now)
    except ValueError:
        raise RefusedRequest(400, "Invalid cron expression") from None
    store.run(
        "INSERT OR IGNORE INTO schedules VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        *(asked.id, asked.cron, asked.promise_id, asked.promise_timeout),
        *(to_text(asked.promise_param), to_text(asked.promise_tags), now, next_run),
    )
    return ServerReply(200, {"schedule": _found(store, asked.id)})


def delete(store: Store, _now: int, asked: protocol.Named) -> ServerReply:
    if not store.run("DELETE FROM schedules WHERE id = ?", asked.id):
        raise RefusedRequest(404, "Schedule not found")
    return ServerReply(200, {})


def search(store: Store, _now: int, asked: protocol.ScheduleSearch) -> ServerReply:
    where = {
        "id > ?": asked.cursor,
        "holds_tags(tags, ?)": to_text(asked.tags) if asked.tags else None,
    }
    rows, more = store.page("SELECT * FROM schedules", where, asked.limit or 10)
    return ServerReply(200, {"schedules": [_record(row) for row in rows], **more})


def run_due(store: Store, now: int) -> int:
    """Run each schedule whose time has come, once; return how many there were.

    Runs that were missed come one at a call, for the next one counts from the last, not from now.
    """
    due = store.all("SELECT * FROM schedules WHERE next_run_at <= ? ORDER BY next_run_at, id", now)
    for row in due:
        at = row["next_run_at"]
        promises.add(store, now, _promise(row, at), at)
        store.run(
            "UPDATE schedules SET last_run_at = ?, next_run_at = ? WHERE id = ?",
            *(at, Cron(row["cron"]).next(at), row["id"]),
        )
    return len(due)


def _promise(row: Row, at: int) -> protocol.NewPromise:
    """Return what a run at `at` creates."""
    run = row["promise_id"].replace("{{.id}}", row["id"]).replace("{{.timestamp}}", str(at))
    tags = msgspec.json.decode(row["tags"]) | {SCHEDULE: row["id"]} | dict.fromkeys(ROOT, run)
    return protocol.NewPromise(
        id=run,
        timeout_at=min(at + row["promise_timeout"], MAX),
        param=msgspec.json.decode(row["param"], type=protocol.Payload),
        tags=tags,
    )


def _found(store: Store, id: str) -> Record:
    row = store.one("SELECT * FROM schedules WHERE id = ?", id)
    if row is None:
        raise RefusedRequest(404, "Schedule not found")
    return _record(row)


def _record(row: Row) -> Record:
    """Return a schedule in its wire form."""
    schedule = {
        "id": row["id"],
        "cron": row["cron"],
        "promiseId": row["promise_id"],
        "promiseTimeout": row["promise_timeout"],
        "promiseParam": msgspec.json.decode(row["param"]),
        "promiseTags": msgspec.json.decode(row["tags"]),
        "createdAt": row["created_at"],
        "nextRunAt": row["next_run_at"],
    }
    if row["last_run_at"] is not None:
        schedule["lastRunAt"] = row["last_run_at"]
    return schedule

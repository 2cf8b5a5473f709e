"""The tables of the pinned server version; a store with others is refused."""

from typing import Final

from resonate_fleet.retention.database import Database, StoreError

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


def check(database: Database) -> None:
    """Refuse a store whose tables are not exactly those of the pinned version.

    Raises:
        StoreError: with the tables that differ.
    """
    found, known = database.columns(), {name: set(row.split()) for name, row in TABLES.items()}
    differing = sorted(name for name in found.keys() | known if found.get(name) != known.get(name))
    if differing:
        raise StoreError(
            f"not a store of server v0.9.8: {', '.join(differing)} missing or different"
        )

"""The tables of server v0.9.8, for tests where no real server makes them."""

import sqlite3
from pathlib import Path

_TABLES = """
CREATE TABLE promises (id TEXT PRIMARY KEY, state TEXT NOT NULL, param_headers {json},
  param_data TEXT, value_headers {json}, value_data TEXT, tags {json} NOT NULL DEFAULT '{{}}',
  target TEXT GENERATED ALWAYS AS ({target}) STORED,
  origin TEXT GENERATED ALWAYS AS ({origin}) STORED,
  branch TEXT GENERATED ALWAYS AS ({branch}) STORED,
  timer BOOLEAN GENERATED ALWAYS AS (COALESCE({timer}, '') = 'true') STORED,
  timeout_at BIGINT NOT NULL, created_at BIGINT NOT NULL, settled_at BIGINT);
CREATE INDEX pending ON promises (timeout_at) WHERE state = 'pending';
CREATE TABLE promise_timeouts (timeout_at BIGINT, id TEXT PRIMARY KEY {promise});
CREATE TABLE callbacks (awaited_id TEXT {promise}, awaiter_id TEXT {promise},
  ready BOOLEAN NOT NULL DEFAULT false, PRIMARY KEY (awaited_id, awaiter_id));
CREATE INDEX awaiters ON callbacks (awaiter_id);
CREATE TABLE listeners (promise_id TEXT {promise}, address TEXT, PRIMARY KEY (promise_id, address));
CREATE TABLE tasks (id TEXT PRIMARY KEY {promise}, state TEXT NOT NULL, version INT DEFAULT 0);
CREATE TABLE task_timeouts (timeout_at BIGINT, id TEXT PRIMARY KEY {task}, timeout_type SMALLINT,
  process_id TEXT, ttl BIGINT);
CREATE TABLE outgoing_execute (id TEXT PRIMARY KEY {task}, version INT, address TEXT);
CREATE TABLE outgoing_unblock (promise_id TEXT {promise}, address TEXT,
  PRIMARY KEY (promise_id, address));
CREATE TABLE schedules (id TEXT PRIMARY KEY, cron TEXT, promise_id TEXT, promise_timeout BIGINT,
  promise_param_headers {json}, promise_param_data TEXT, promise_tags {json}, created_at BIGINT,
  next_run_at BIGINT, last_run_at BIGINT);
CREATE TABLE schedule_timeouts (timeout_at BIGINT,
  id TEXT PRIMARY KEY REFERENCES schedules (id) ON DELETE CASCADE);
"""
_KEYS = {
    "promise": "REFERENCES promises (id) ON DELETE CASCADE",
    "task": "REFERENCES tasks (id) ON DELETE CASCADE",
}
_GENERATED = ("target", "origin", "branch", "timer")
SQLITE = _TABLES.format(
    json="TEXT", **_KEYS, **{one: f"json_extract(tags, '$.resonate:{one}')" for one in _GENERATED}
)
POSTGRES = _TABLES.format(
    json="JSONB", **_KEYS, **{one: f"tags->>'resonate:{one}'" for one in _GENERATED}
)


def make_file(path: Path) -> Path:
    """Make an empty store in a new file."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(SQLITE)
    connection.close()
    return path

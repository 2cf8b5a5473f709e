"""A store that is prepared is like one that the real server has written."""

import asyncio
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from resonate_fleet.bench.store import GROUP, parser, run
from resonate_fleet.contract.wire import Wire
from resonate_fleet.contract.words import anycast
from tests.support.postgres import postgres
from tests.support.processes import SERVER_BIN, Processes
from tests.support.servers import Server

pytestmark = [pytest.mark.system, pytest.mark.real]
FINISHED = 50


async def test_every_row_is_like_the_one_that_server_and_member_wrote(
    processes: Processes, tmp_path: Path
) -> None:
    file = tmp_path / "store.db"
    binary = os.environ[SERVER_BIN]
    asked = ["--server-bin", binary, "--finished", str(FINISHED), str(file)]
    # It has an event loop of its own.
    assert await asyncio.to_thread(run, parser("store").parse_args(asked)) == 0
    with closing(sqlite3.connect(file)) as store:
        rows = store.execute("SELECT id, created_at, * FROM promises ORDER BY id").fetchall()
        tags = dict(store.execute("SELECT id, tags FROM promises").fetchall())
        tasks = store.execute("SELECT state, version, count(*) FROM tasks GROUP BY 1, 2").fetchall()
    assert len({tuple(type(value) for value in row) for row in rows}) == 1
    assert [row[1] for row in rows] == sorted(row[1] for row in rows), "ids are time-ordered"
    assert all(json.loads(text)["resonate:origin"] == job for job, text in tags.items())
    assert tasks == [("fulfilled", 1, FINISHED)]
    server = Server("real", processes, store=file)
    async with Wire(server.url) as wire:
        found = await anext(wire.task_pages("fulfilled"))
        tags = {"resonate:target": anycast(GROUP)}
        promises = await anext(wire.promise_pages("resolved", tags))
    assert len(found) == len(promises) == FINISHED


def test_a_database_is_filled_like_a_file() -> None:
    with postgres() as url:
        asked = ["--server-bin", os.environ[SERVER_BIN], "--finished", str(FINISHED), url]
        assert run(parser("store").parse_args(asked)) == 0
        with psycopg.connect(url) as store:
            alike = store.execute(
                "SELECT DISTINCT state, param_headers, param_data, value_headers, value_data,"
                " tags - '{resonate:origin,resonate:branch,resonate:parent}'::text[],"
                " tags->>'resonate:origin' = id, settled_at - created_at, timeout_at - created_at"
                " FROM promises"
            ).fetchall()
            tasks = store.execute("SELECT state, version, count(*) FROM tasks GROUP BY 1, 2")
            assert len(alike) == 1
            assert tasks.fetchall() == [("fulfilled", 1, FINISHED)]

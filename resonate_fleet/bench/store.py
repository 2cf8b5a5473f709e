"""`fleet bench store`: a store of the real server with many finished jobs in it.

The server makes the schema, and a member of ours does one job. Its rows are then copied under
other ids and earlier times, evenly over a day: an hour of writing becomes a minute. The copies
keep the call and the result of the one that was done.
"""

import argparse
import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from resonate_fleet.bench import jobs
from resonate_fleet.bench.place import open_place
from resonate_fleet.contract import exits
from resonate_fleet.contract.ids import Ids
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.paths import Program
from resonate_fleet.contract.settings import Mistake, integer

GROUP = "bench-history"
DAY_MS = 86_400_000
_TIMES = ("timeout_at", "created_at", "settled_at")
_TEXTS = ("id", "tags", "state", "param_headers", "param_data", "value_headers", "value_data")
_COLUMNS = ", ".join((*_TIMES, *_TEXTS))
_TASKS = """
INSERT INTO tasks (id, state, version) SELECT promises.id, tasks.state, tasks.version
FROM promises, tasks WHERE promises.id <> tasks.id ORDER BY promises.id
"""


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description=__doc__)
    add = made.add_argument
    add("store", metavar="FILE|URL", help="a new SQLite file, or an empty PostgreSQL database")
    add("--server-bin", type=Program, required=True, metavar="PATH", help="v0.9.8's binary")
    many = typed(integer(1, 100_000_000))
    add("--finished", type=many, default=1_000_000, metavar="N", help="default: 1000000")
    return made


def run(asked: argparse.Namespace) -> int:
    is_file = "://" not in asked.store
    if is_file and Path(asked.store).exists():
        raise Mistake(f"{asked.store} exists; accepted: a new file")
    if not is_file and find_spec("psycopg") is None:
        raise Mistake("a PostgreSQL store needs the extra `postgres` (psycopg)")
    store = str(Path(asked.store).absolute()) if is_file else asked.store
    asyncio.run(_do_one(str(asked.server_bin.absolute()), store))
    (_fill_file if is_file else _fill_database)(store, asked.finished - 1)
    sys.stdout.write(f"{asked.store}: {asked.finished} finished jobs of group {GROUP}\n")
    return exits.OK


async def _do_one(binary: str, store: str) -> None:
    """Have one job done on a server that keeps its store there."""
    async with (
        open_place(binary, store) as place,
        place.fleet("ours", 1, 1, stewards=0, group=GROUP),
    ):
        await jobs.all_done(place.wire, await jobs.submit(place.wire, GROUP, [0.0]))


def _fill_file(file: str, count: int) -> None:
    marks = ", ".join("?" * len((*_TIMES, *_TEXTS)))
    try:
        with closing(sqlite3.connect(file)) as store:
            store.execute("PRAGMA synchronous = OFF")
            (row,) = store.execute(f"SELECT {_COLUMNS} FROM promises")  # noqa: S608 - our own words
            insert = f"INSERT INTO promises ({_COLUMNS}) VALUES ({marks})"  # noqa: S608 - the same
            store.executemany(insert, _copies(row, count))
            store.execute(_TASKS)
            store.commit()
            store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as failure:
        raise exits.CommandFailed(str(failure)) from None


def _fill_database(url: str, count: int) -> None:
    import psycopg  # noqa: PLC0415 - the extra `postgres`

    texts = ", ".join(f"{name}::text" for name in _TEXTS)
    try:
        with psycopg.connect(url) as store:
            (row,) = store.execute(f"SELECT {', '.join(_TIMES)}, {texts} FROM promises")  # noqa: S608 - our own words
            with store.cursor().copy(f"COPY promises ({_COLUMNS}) FROM STDIN") as copy:
                for one in _copies(row, count):
                    copy.write_row(one)
            store.execute(_TASKS)
            store.execute("ANALYZE")
    except psycopg.Error as failure:
        raise exits.CommandFailed(str(failure)) from None


def _copies(row: tuple[Any, ...], count: int) -> Iterator[tuple[Any, ...]]:
    """Return copies of a row, the oldest first: its times earlier, in its tags their own ids."""
    timeout, created, settled, job, tags, *rest = row
    ids = Ids(lambda: created - age)
    for number in range(count):
        age = DAY_MS - number * DAY_MS // count
        copy = ids.new()
        yield timeout - age, created - age, settled - age, copy, tags.replace(job, copy), *rest

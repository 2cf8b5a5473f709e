"""`fleet bench store`: a store of the real server with many finished jobs in it.

The server makes the schema, and a member of ours does one job. Its rows are then copied under
other ids and earlier times, evenly over a day: an hour of writing becomes half a minute. The
copies keep the call and the result of the one that was done.
"""

import argparse
import asyncio
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from resonate_fleet.bench import jobs
from resonate_fleet.bench.place import open_place
from resonate_fleet.bench.processes import NotReady
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, Program, typed
from resonate_fleet.contract.settings import Mistake, integer

GROUP = "bench-history"
DAY_MS = 86_400_000
_COLUMNS = "state, param_headers, param_data, value_headers, value_data"
#: `made` gives each copy its number and its age; an id is a UUIDv7 of the time of creation. Without
#: MATERIALIZED SQLite draws `random` anew wherever it is named.
_SQLITE = f"""
INSERT INTO promises (id, {_COLUMNS}, tags, timeout_at, created_at, settled_at)
WITH RECURSIVE made (number, age) AS (
  VALUES (1, {{day}})
  UNION ALL SELECT number + 1, {{day}} - number * {{day}} / {{count}} FROM made
  WHERE number < {{count}}
), named AS MATERIALIZED (
  SELECT *, printf('%012x', created_at - age) AS time, lower(hex(randomblob(8))) AS random
  FROM made, promises WHERE id = '{{job}}'
), identified AS (
  SELECT *, substr(time, 1, 8) || '-' || substr(time, 9) || '-7' || substr(random, 1, 3)
    || '-8' || substr(random, 4, 3) || '-' || substr(random, 5, 12) AS copy
  FROM named
)
SELECT copy, {_COLUMNS}, replace(tags, id, copy), timeout_at - age, created_at - age,
  settled_at - age FROM identified;
INSERT INTO tasks (id, state, version)
SELECT copy.id, done.state, done.version FROM promises copy, tasks done
WHERE done.id = '{{job}}' AND copy.id <> done.id AND copy.target = '{{target}}' ORDER BY copy.id;
"""  # noqa: S608 - our own words
_POSTGRES = f"""
INSERT INTO promises (id, {_COLUMNS}, tags, timeout_at, created_at, settled_at)
SELECT copy, {_COLUMNS}, replace(tags::text, id, copy)::jsonb, timeout_at - age, created_at - age,
  settled_at - age
FROM promises,
  LATERAL (SELECT {{day}} - (number - 1) * {{day}}::bigint / {{count}} AS age
    FROM generate_series(1, {{count}}) number) aged,
  LATERAL (SELECT lpad(to_hex(created_at - age), 12, '0') AS time, md5(random()::text) AS r) named,
  LATERAL (SELECT substr(time, 1, 8) || '-' || substr(time, 9) || '-7' || substr(r, 1, 3)
    || '-8' || substr(r, 4, 3) || '-' || substr(r, 7, 12) AS copy) identified
WHERE id = '{{job}}';
INSERT INTO tasks (id, state, version)
SELECT copy.id, done.state, done.version FROM promises copy, tasks done
WHERE done.id = '{{job}}' AND copy.id <> done.id AND copy.target = '{{target}}' ORDER BY copy.id;
ANALYZE;
"""  # noqa: S608 - our own words


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
    try:
        job = asyncio.run(_one_done(str(asked.server_bin.absolute()), asked.store))
        fill = _fill_file if is_file else _fill_database
        fill(asked.store, job, asked.finished - 1)
    except (NotReady, sqlite3.Error, subprocess.CalledProcessError) as failure:
        sys.stderr.write(f"fleet bench store: {failure}\n")
        return exits.FAILED
    sys.stdout.write(f"{asked.store}: {asked.finished} finished jobs of group {GROUP}\n")
    return exits.OK


async def _one_done(binary: str, store: str) -> str:
    """Have one job done on a server that keeps its store there; return its id."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="store-")))
        place = open_place(stack, folder, None, binary, store)
        with place.fleet("ours", 1, 1, stewards=0, group=GROUP):
            async with place.wire:
                (job,) = await jobs.submit(place.wire, GROUP, [0.0])
                await jobs.all_done(place.wire, [job])
    return job


def _fill_file(file: str, job: str, count: int) -> None:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(_filled(_SQLITE, job, count))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _fill_database(url: str, job: str, count: int) -> None:
    script = _filled(_POSTGRES, job, count)
    command = ["psql", "--quiet", "--set=ON_ERROR_STOP=1", url]
    subprocess.run(command, input=script, text=True, check=True)  # noqa: S603 - our own


def _filled(script: str, job: str, count: int) -> str:
    target = f"poll://any@{GROUP}"
    return script.format(job=job, count=count, day=DAY_MS, target=target)

"""`fleet store`: shows what the store of the real server holds, and deletes old jobs from it."""

import sys
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import Final

from resonate_fleet.commands.options import add_json
from resonate_fleet.commands.tables import print_json, print_table
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.settings import Mistake, length
from resonate_fleet.retention.database import Database, Size, StoreError, contents
from resonate_fleet.retention.prune import Count, Prune
from resonate_fleet.retention.sqlite import SqliteFile
from resonate_fleet.submit.output import progress_bar

PROG: Final = "fleet store"
_LOST: Final = (
    "With a job its result goes, and its id's protection: a job that is submitted again under the "
    "same id runs again."
)


def parser(prog: str = PROG) -> Parser:
    made = Parser(
        prog=prog,
        description="The store of server v0.9.8: an SQLite file, or a PostgreSQL database.",
    )
    actions = made.add_subparsers(dest="action", required=True, metavar="show|prune")
    show = actions.add_parser("show", help="size, jobs by state and age")
    prune = actions.add_parser("prune", help="delete old jobs that are over, while the fleet runs")
    for one in (show, prune):
        one.add_argument("store", metavar="FILE|URL", help="the file, or postgres://...")
    add_json(show)
    age = "least age, by the end of the family's last promise: 30d, 12h, 90m or 45s"
    prune.add_argument("--older-than", type=typed(length()), required=True, metavar="AGE", help=age)
    prune.add_argument("--yes", action="store_true", help="do it; without, only say what would go")
    return made


def run(asked: Namespace) -> int:
    act: Callable[[Namespace, Database], None] = _show if asked.action == "show" else _prune
    with closing(_open(asked.store)) as database:
        try:
            database.check()
        except StoreError as unknown:
            raise Mistake(f"{asked.store}: {unknown}") from None
        act(asked, database)
    return exits.OK


def _open(store: str) -> Database:
    if "://" not in store:
        return SqliteFile(store)
    if not store.startswith(("postgres://", "postgresql://")):
        raise Mistake(f"the store is {store!r}; accepted: a file, or postgres://...")
    try:
        from resonate_fleet.retention.postgres import Postgres  # noqa: PLC0415 - an extra
    except ImportError:
        raise Mistake("a PostgreSQL store needs the extra `postgres` (psycopg)") from None
    return Postgres(store)


def _show(asked: Namespace, database: Database) -> None:
    seen = contents(database, database.now_ms())
    if asked.json:
        print_json(asdict(seen))
        return
    tasks = ", ".join(f"{count} {state}" for state, count in sorted(seen.tasks.items()))
    sys.stdout.write(
        f"{_size(seen.size)}\n{sum(seen.promises.values())} promises, "
        f"{seen.promises.get('pending', 0)} of them pending; "
        f"tasks: {tasks or 'none'}; schedules: {seen.schedules}\n"
    )
    states = sorted({state for row in seen.ages.values() for state in row})
    rows = [[age, *(row.get(state, 0) for state in states)] for age, row in seen.ages.items()]
    print_table(("ended within", *(f"{state}>" for state in states)), rows)


def _size(size: Size) -> str:
    return f"{size.total / 1e6:.1f} MB, of them {size.free / 1e6:.1f} MB free: {size.advice}"


def _prune(asked: Namespace, database: Database) -> None:
    prune = Prune(database, database.now_ms() - round(asked.older_than * 1000))
    planned = prune.plan()
    would = "go" if asked.yes else "would go"
    sys.stdout.write(f"{_counted(planned)} {would}. {_LOST}\n")
    if not asked.yes:
        sys.stdout.write("Nothing was changed: --yes does it.\n")
        return
    began, before, done = time.monotonic(), database.size(), Count()
    with progress_bar("deleted", planned.families) as advance:
        for part in prune.run():
            done += part
            advance(part.families)
    took = time.monotonic() - began
    sys.stdout.write(f"{_counted(done)} are gone after {took:.1f} s.\n")
    after = database.size()
    sys.stdout.write(f"It was {before.total / 1e6:.1f} MB and is {_size(after)}\n")


def _counted(count: Count) -> str:
    return f"{count.families} jobs with all that belongs to them, {count.promises} promises,"

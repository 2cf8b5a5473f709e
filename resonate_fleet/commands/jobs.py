"""`fleet jobs`: lists jobs, from the steward's live state or by a search of the store."""

import sys
from argparse import Namespace
from collections.abc import Mapping
from functools import partial
from typing import Final
from urllib.parse import urlencode

import msgspec

from resonate_fleet.commands.addresses import REPLY_SECONDS, Addresses, add_addresses, addresses
from resonate_fleet.commands.options import add_json
from resonate_fleet.commands.tables import ago, print_table
from resonate_fleet.contract import exits
from resonate_fleet.contract.jobacts import search
from resonate_fleet.contract.jobs import (
    COLUMNS,
    OVER,
    STATES,
    Column,
    JobLine,
    JobList,
    line_of,
    matches,
)
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.settings import Mistake, choice, filled, integer, length
from resonate_fleet.contract.wire import Wire

_ENDING: Final = """\
The steward knows what lives and the attempts that ended last; `--store` searches the server's
store, which walks through all that has ever finished there.
exit codes: 0 listed; 2 wrong option; 4 no answer from the server.
"""
#: Options that the steward and the search take alike.
FILTERS: Final = ("state", "function", "group", "member", "search")
#: Jobs that one list holds at most.
MOST: Final = 5000
#: How kinds of columns are drawn (`commands/tables.py`).
_MARKS: Final = {"id": "/", "words": "~", "note": "~", "number": ">", "age": ">"}
#: States of promises by the states of jobs; those that live are all `pending`.
_SEARCHED: Final[dict[str, str]] = {job: promise for promise, job in OVER.items()}


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description="List jobs.", epilog=_ENDING)
    add_filters(made)
    add = made.add_argument
    add("--search", metavar="TEXT", help="a part of the id")
    add("--limit", type=typed(integer(1, MOST)), default=100, metavar="N", help="default: 100")
    add("--store", action="store_true", help="search the server's store")
    add_json(made, lines=True)
    add_addresses(made)
    return made


def add_filters(made: Parser) -> None:
    add = made.add_argument
    add("--state", type=typed(choice(*STATES)), metavar="STATE", help=", ".join(STATES))
    for option in ("--function", "--group", "--member"):
        add(option, type=typed(filled("a name")), metavar="NAME")
    add("--since", type=typed(length()), metavar="TIME", help="no older than 90s, 15m, 1h or 2d")


def ids_alone(asked: Namespace, option: str) -> list[str]:
    """Return the ids that were typed, which no filter may stand beside.

    Raises:
        Mistake: one does.
    """
    for name in (*FILTERS, "since"):
        if getattr(asked, name, None) is not None:
            raise Mistake(f"--{name} stands beside ids; accepted: --{name} with {option}, or ids")
    return list(asked.ids)


def run(asked: Namespace) -> int:
    found, source = chosen(asked, addresses(asked))
    if asked.json:
        for one in found.jobs:
            sys.stdout.write(f"{msgspec.json.encode(one).decode()}\n")
        return exits.OK
    if found.jobs:
        columns = [one for one in COLUMNS if one.where != "page"]
        names = [f"{one.title}{_MARKS.get(one.kind, '')}{'?' * one.spare}" for one in columns]
        rows = [[_cell(one, column, found.at) for column in columns] for one in found.jobs]
        print_table(names, rows)
    count = f"{len(found.jobs)} jobs" if len(found.jobs) != 1 else "1 job"
    sys.stdout.write(f"{count}{', and more (--limit)' if found.more else ''}, {source}\n")
    return exits.OK


def chosen(asked: Namespace, where: Addresses, *, live: bool = False) -> tuple[JobList, str]:
    """Return the jobs that were asked for, and who told of them.

    `live`: those that are over need not be among them.

    Raises:
        Unreachable, Refused, Mistake.
    """
    given = {name: value for name in FILTERS if (value := getattr(asked, name, None))}
    limit = getattr(asked, "limit", MOST)
    if not getattr(asked, "store", False):
        since = {} if asked.since is None else {"since": round(asked.since)}
        query = urlencode({**given, "limit": limit, **since})
        found = where.ask_steward(f"jobs?{query}", JobList)
        if found is not None:
            if found.unread:
                sys.stderr.write(
                    f"{found.unread} jobs are left out, function not read yet: run it again\n"
                )
            if not found.complete:
                sys.stderr.write(
                    "the steward does not know every job yet: run it again, or with --store\n"
                )
            return found, "from the steward's live state"
    state = given.get("state", "waiting" if live else "")
    states = (_SEARCHED.get(state, "pending"),) if state else (None,)
    search_for = partial(_searched, states, given, asked.since, limit)
    return where.ask(search_for, 6 * REPLY_SECONDS), "by a search of the store"


async def _searched(
    states: tuple[str | None],
    given: Mapping[str, str],
    since: float | None,
    limit: int,
    wire: Wire,
) -> JobList:
    """Return jobs of the last `since` seconds by searching the store. Progress goes to stderr."""
    found: list[JobLine] = []
    async for promise in search(wire, states, _progress):
        line, after = line_of(promise), 0.0 if since is None else wire.clock.now() - since
        live = {} if line.ended else {"member": "", "state": ""}  # the task has these
        if not matches(line, {**given, **live}, after):
            continue
        if live:
            line = line_of(promise, await wire.task(promise.id))
            if not matches(line, given, after):
                continue
        found.append(line)
        if len(found) > limit:
            break
    sys.stderr.write("\n" if sys.stderr.isatty() else "")
    return JobList(jobs=found[:limit], at=wire.clock.now(), more=len(found) > limit)


def _progress(read: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\rsearching the store: {read} promises read")
        sys.stderr.flush()


def _cell(one: JobLine, column: Column, now: float) -> object:
    value = getattr(one, column.field)
    return ago(now - value) if value and column.kind == "age" else value or ""

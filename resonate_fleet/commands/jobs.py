"""`fleet jobs`: lists jobs, from the steward's live state or by a search of the store."""

import asyncio
import sys
import time
from argparse import Namespace
from typing import Final

import msgspec

from resonate_fleet.commands import hand
from resonate_fleet.commands.addresses import PATIENCE, Addresses, add_addresses, addresses
from resonate_fleet.commands.tables import ago, console, table
from resonate_fleet.contract import exits
from resonate_fleet.contract.jobviews import STATES, JobLine, JobList
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.settings import choice, integer, length
from resonate_fleet.contract.wire import Refused, Unreachable, Wire

_ENDING: Final = """\
The steward knows what lives and the attempts that ended last; `--store` searches the server's
store, which walks through all that has ever finished there.
exit codes: 0 listed; 2 wrong option; 4 no answer from the server.
"""
#: Options that the steward and the search take alike.
FILTERS: Final = ("state", "function", "group", "member", "search")


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description="List jobs.", epilog=_ENDING)
    add_filters(made)
    add = made.add_argument
    add("--search", metavar="TEXT", help="a part of the id")
    add("--limit", type=typed(integer(1, 5000)), default=100, metavar="N", help="default: 100")
    add("--store", action="store_true", help="search the server's store")
    add("--json", action="store_true", help="print one JSON object a line")
    add_addresses(made)
    return made


def add_filters(made: Parser) -> None:
    """Give `made` the options by which jobs are chosen."""
    add = made.add_argument
    add("--state", type=typed(choice(*STATES)), metavar="STATE", help=", ".join(STATES))
    add("--function", metavar="NAME")
    add("--group", metavar="NAME")
    add("--member", metavar="NAME")
    add("--since", type=typed(length()), metavar="TIME", help="such as 90s, 15m, 1h or 2d")


def run(asked: Namespace) -> int:
    """Print the list; return the exit code.

    Raises:
        Mistake: what was typed cannot be meant.
    """
    where = addresses(asked)
    try:
        found, source = chosen(asked, where)
    except (Unreachable, Refused) as failed:
        sys.stderr.write(f"fleet jobs: {failed}\n")
        return exits.FAILED
    if asked.json:
        for one in found.jobs:
            sys.stdout.write(f"{msgspec.json.encode(one).decode()}\n")
        return exits.OK
    _print(found, source)
    return exits.OK


def chosen(asked: Namespace, where: Addresses) -> tuple[JobList, str]:
    """Return the jobs that were asked for, and who told of them.

    Raises:
        Unreachable, Refused, Mistake.
    """
    given = {name: value for name in FILTERS if (value := getattr(asked, name, None))}
    given["limit"] = str(getattr(asked, "limit", 5000))
    since = {"since": str(round(asked.since))} if asked.since else {}
    found = None if getattr(asked, "store", False) else hand.listed(where, given | since)
    if found is not None:
        return found, "from the steward's live state"
    after = time.time() - asked.since if asked.since else 0.0
    return asyncio.run(_search(where, given, after)), "by a search of the store"


async def _search(where: Addresses, given: dict[str, str], after: float) -> JobList:
    async with Wire(where.server, where.token, 6 * PATIENCE) as wire:
        return await hand.searched(wire, given, after)


def _print(found: JobList, source: str) -> None:
    now = time.time()
    screen = console()
    names = ("job", "state", "function~", "group?", "member", "attempt>?", "age>", "why~?")
    if found.jobs:
        rows = [_row(one, now) for one in found.jobs]
        screen.print(table(names, rows, screen.width))
    count = f"{len(found.jobs)} jobs" if len(found.jobs) != 1 else "1 job"
    more = ", and more (--limit)" if found.more else ""
    sys.stdout.write(f"{count}{more}, {source}\n")


def _row(one: JobLine, now: float) -> tuple[object, ...]:
    age = f"{ago(now - (one.ended or one.created or now))}"
    return (
        one.id, one.state, one.function, one.group, one.member, one.attempt or "", age, one.reason,
    )  # fmt: skip

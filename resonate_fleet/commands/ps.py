"""`fleet ps`: who holds what, which attempt, and how many jobs wait, from the server alone."""

import asyncio
import sys
import time
from argparse import Namespace

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from resonate_fleet.commands.addresses import Addresses, add_addresses, addresses
from resonate_fleet.commands.looks import Failed, Held, Look, Queue, look
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.settings import seconds
from resonate_fleet.contract.wire import Refused, Unreachable, Wire

#: Width where there is no terminal to ask: ids and names shall not be cut off there.
WIDE = 180
#: Failures shown; `--json` has them all.
SHOWN = 10


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description="Who holds what, which attempt, and how many jobs wait.")
    back = "list failures so far back; default: 3600"
    made.add_argument(
        "--since", type=typed(seconds(0, 10**9)), default=3600.0, metavar="S", help=back
    )
    made.add_argument("--json", action="store_true", help="print it as JSON")
    add_addresses(made, steward=False)
    return made


def run(asked: Namespace) -> int:
    try:
        seen = asyncio.run(_look(addresses(asked), asked.since))
    except (Unreachable, Refused) as failed:
        sys.stderr.write(f"fleet ps: {failed}\n")
        return exits.FAILED
    if asked.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(seen), indent=2).decode() + "\n")
    else:
        wide_console().print(drawn(seen))
    return exits.OK


async def _look(where: Addresses, since: float) -> Look:
    async with Wire(where.server, where.token, timeout=5.0) as wire:
        return await look(wire, time.time() - since)


def wide_console() -> Console:
    """Return a console that cuts nothing off where its output is read by a program."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def drawn(seen: Look) -> RenderableType:
    """Return a look as tables."""
    parts: list[RenderableType] = [_queues(seen), Text(), _held(seen)]
    if seen.failed:
        parts += [Text(), _failed(seen)]
    return Group(*parts)


def _queues(seen: Look) -> RenderableType:
    if not seen.queues:
        return Text("no jobs are under way")
    table = plain_table("group", "waiting>", "oldest>", "running>", "suspended>", "parked>")
    for one in seen.queues:
        table.add_row(*queue_row(one, seen.at))
    return table


def queue_row(one: Queue, now: float) -> list[str]:
    oldest = "" if one.oldest is None else ago(now - one.oldest)
    counts = [str(number) for number in (one.running, one.suspended, one.parked)]
    return [one.group, str(one.waiting), oldest, *counts]


def _held(seen: Look) -> RenderableType:
    if not seen.held:
        return Text("nothing is held")
    table = plain_table("member", "holds", "function", "attempt>", "created>")
    for one in seen.held:
        table.add_row(*_held_row(one, seen.at))
    return table


def _held_row(one: Held, now: float) -> list[str]:
    return [one.member, one.task, one.function, str(one.attempt), f"{ago(now - one.created)} ago"]


def _failed(seen: Look) -> RenderableType:
    table = plain_table("failed", "function", "state", "ended>", "error")
    for one in sorted(seen.failed, key=lambda one: -one.at)[:SHOWN]:
        table.add_row(*_failed_row(one, seen.at))
    if len(seen.failed) > SHOWN:
        table.add_row(f"and {len(seen.failed) - SHOWN} more; --json has them all")
    return table


def _failed_row(one: Failed, now: float) -> list[str]:
    return [one.job, one.function, one.state, f"{ago(now - one.at)} ago", one.error]


def plain_table(*columns: str) -> Table:
    """Return a table without lines; a column whose name ends in `>` has its cells to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        right = column.endswith(">")
        table.add_column(column.rstrip(">"), justify="right" if right else "left", overflow="fold")
    return table


def ago(seconds: float) -> str:
    """Return a span of time in the unit that suits it.

    >>> [ago(0.25), ago(75), ago(7200)]
    ['0.2 s', '1m 15s', '2h 00m']
    """
    if seconds < 60:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60}m {int(seconds) % 60:02d}s"
    return f"{int(seconds) // 3600}h {int(seconds) % 3600 // 60:02d}m"

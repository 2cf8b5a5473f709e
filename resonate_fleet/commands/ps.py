"""`fleet ps`: who holds what, which attempt, and what waits."""

import asyncio
import sys
import time
from argparse import Namespace
from collections.abc import Iterable
from typing import Final

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from resonate_fleet.commands.addresses import PATIENCE, Addresses, add_addresses, addresses
from resonate_fleet.commands.alone import Failed, failed_lately, failures
from resonate_fleet.commands.live import Seen, look
from resonate_fleet.commands.tables import ago, console, natural, plain, table
from resonate_fleet.contract import exits
from resonate_fleet.contract.live import LiveAttempt, LiveGroup, LiveMember, LiveState
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.settings import seconds
from resonate_fleet.contract.wire import Refused, Unreachable, Wire

#: Failures shown; `--json` has more of them.
SHOWN: Final = 10
#: Failures that are asked for, of those that a steward has seen.
MOST: Final = 50
#: How far back failures are searched for where no steward has seen them, in seconds.
SINCE: Final = 3600.0


def parser(prog: str) -> Parser:
    about = """\
Who holds what, which attempt, and how many jobs wait: by the steward, else by the server alone.
"""
    made = Parser(prog=prog, usage=f"{prog} [options]", description=about)
    back = (
        "search the store for failures so far back; default: those that the steward has seen "
        f"lately, else {SINCE:g}"
    )
    made.add_argument("--since", type=typed(seconds(0, 10**9)), metavar="S", help=back)
    made.add_argument("--json", action="store_true", help="print it as JSON")
    add_addresses(made)
    return made


def run(asked: Namespace) -> int:
    where = addresses(asked)
    try:
        seen = look(where)
        failed = asyncio.run(_failed(where, seen, asked.since))
    except (Unreachable, Refused) as error:
        sys.stderr.write(f"fleet ps: {error}\n")
        return exits.FAILED
    if asked.json:
        shown = msgspec.to_builtins(seen.state) | {
            "source": seen.source,
            "failed": msgspec.to_builtins(failed),
        }
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode() + "\n")
    else:
        screen = console()
        screen.print(drawn(seen, failed, screen.width))
    return exits.OK


async def _failed(where: Addresses, seen: Seen, since: float | None) -> list[Failed]:
    async with Wire(where.server, where.token, timeout=PATIENCE) as wire:
        if since is None and seen.steward:
            return await failed_lately(wire, seen.state, MOST)
        return await failures(wire, time.time() - (SINCE if since is None else since))


def drawn(seen: Seen, failed: list[Failed], width: int) -> RenderableType:
    """Return what was seen as tables."""
    state = seen.state
    parts: list[RenderableType] = [plain(seen.source, "dim"), Text(), groups(state, width)]
    parts += [plain(line, "bold yellow") for line in blocked(state)]
    parts += [Text(), members(state, list(member_rows(state)), width)]
    if failed:
        parts += [Text(), _failures(failed, state.at, width)]
    return Group(*parts)


def groups(state: LiveState, width: int) -> RenderableType:
    """Return the groups as a table."""
    if not state.groups:
        return Text("no jobs are under way")
    names = ("group", "waiting>", "oldest>", "running>", "suspended>", "parked>", "members>?")
    return table(names, [_group(one, state.at) for one in state.groups], width)


def _group(one: LiveGroup, now: float) -> list[object]:
    oldest = "" if one.oldest is None else ago(now - one.oldest)
    counts = [one.running, one.suspended, one.parked]
    return [one.group, one.waiting, oldest, *counts, one.members or ""]


def blocked(state: LiveState) -> list[str]:
    """Return a line for each reason why jobs wait though slots are free."""
    return [
        f"{one.group}: {count} wait, {why}{_first(one, why)}"
        for one in state.groups
        for why, count in one.blocked.items()
    ]


def _first(one: LiveGroup, why: str) -> str:
    job = one.stuck.get(why)
    return f": {job}" if job else ""


def member_rows(state: LiveState) -> Iterable[list[object]]:
    """Yield a row for each member and, below it, for each more job that it holds."""
    held: dict[str, list[LiveAttempt]] = {}
    for one in state.running:
        held.setdefault(one.member, []).append(one)
    known = {one.member: one for one in state.members}
    for name in sorted({*known, *held}, key=natural):
        jobs = held.get(name, [])
        head = [name, _used(known.get(name), len(jobs))]
        if not jobs:
            yield [*head, _idle(known[name], state.at), "", "", ""]
        for one in sorted(jobs, key=lambda one: one.since):
            yield [*head, *_job(one, state.at)]
            head = ["", ""]


def _used(member: LiveMember | None, jobs: int) -> str:
    return f"{jobs}/{member.slots if member else '?'}"


def _idle(member: LiveMember, now: float) -> Text:
    if member.state == "present":
        return Text("idle", style="dim")
    if member.state == "missing":
        left = "" if member.until is None else f", given up in {ago(member.until - now)}"
        return Text(f"missing{left}", style="yellow")
    return Text({"dead": "killed"}.get(member.state, member.state), style="bold red")


def _job(one: LiveAttempt, now: float) -> list[object]:
    attempt = Text(str(one.shown), style="bold green" if one.shown > 1 else "")
    return [one.task, attempt, ago(now - one.since) if one.since else "", one.function]


def members(state: LiveState, rows: list[list[object]], width: int) -> RenderableType:
    """Return members with what they hold as a table; `rows` are all or some of `member_rows`."""
    if not rows:
        return Text("nothing is held" if not state.members else "")
    return table(("member", "slots>", "runs", "attempt>", "for>", "function~?"), rows, width)


def _failures(failed: list[Failed], now: float, width: int) -> RenderableType:
    newest = sorted(failed, key=lambda one: -one.at)
    rows = [
        [one.job, one.state, f"{ago(now - one.at)} ago", one.function, one.error]
        for one in newest[:SHOWN]
    ]
    drawn = table(("failed", "state?", "ended>?", "function?", "error~"), rows, width)
    if len(failed) > SHOWN:
        drawn.add_row(f"and {len(failed) - SHOWN} more; --json has them")
    return drawn

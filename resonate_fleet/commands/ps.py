"""`fleet ps`: who holds what, which attempt, and what waits."""

from argparse import Namespace
from collections.abc import Iterable
from functools import partial
from typing import Final

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from resonate_fleet.commands.addresses import add_addresses, addresses, ask
from resonate_fleet.commands.snapshot import (
    FleetSnapshot,
    by_the_steward,
    failed_lately,
    snapshot_of,
)
from resonate_fleet.commands.tables import ago, console, plain, print_json, table
from resonate_fleet.contract import exits
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.jobs import JobLine
from resonate_fleet.contract.live import LiveAttempt, LiveGroup, LiveMember, LiveState
from resonate_fleet.contract.options import Parser, tell
from resonate_fleet.contract.shown import natural

#: Failures shown, of those that the steward has seen.
SHOWN: Final = 10


def parser(prog: str) -> Parser:
    about = """\
Who holds what, which attempt, and how many jobs wait: by the steward, else by the server alone.
"""
    made = Parser(prog=prog, usage=f"{prog} [options]", description=about)
    made.add_argument("--json", action="store_true", help="print it as JSON")
    add_addresses(made)
    return made


def run(asked: Namespace) -> int:
    where = addresses(asked)
    found = snapshot_of(where, by_the_steward(where.steward_url))
    failed: list[JobLine] = []
    try:
        failed = ask(where, partial(failed_lately, found.state, SHOWN))
    except CommandFailed as error:  # the steward's state is there all the same
        tell(f"fleet ps: failures are left out: {error}")
    if asked.json:
        more = {"source": found.source, "failed": msgspec.to_builtins(failed)}
        print_json(msgspec.to_builtins(found.state) | more)
    else:
        screen = console()
        screen.print(drawn(found, failed, screen.width))
    return exits.OK


def drawn(found: FleetSnapshot, failed: list[JobLine], width: int) -> RenderableType:
    state = found.state
    parts: list[RenderableType] = [plain(found.source, "dim"), Text(), groups(state, width)]
    parts += [plain(line, "bold yellow") for line in blocked(state)]
    parts += [Text(), members(state, list(member_rows(state)), width)]
    if failed:
        parts += [Text(), _failures(failed, state.at, width)]
    return Group(*parts)


def groups(state: LiveState, width: int) -> RenderableType:
    if not state.groups:
        return Text("no jobs are under way")
    names = ("group", "waiting>", "oldest>?", "running>", "suspended>??", "parked>??", "members>?")
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
    return table(("member", "slots>?", "runs/", "attempt>??", "for>", "function~???"), rows, width)


def _head(error: str) -> str:
    """Return the first line of an error; `fleet job` has the traceback."""
    return error.partition("\n")[0]


def _failures(failed: list[JobLine], now: float, width: int) -> RenderableType:
    rows = [
        [one.id, one.state, f"{ago(now - (one.ended or now))} ago", one.function, _head(one.reason)]
        for one in failed
    ]
    return table(("failed/", "state????", "ended>??", "function???", "error~"), rows, width)

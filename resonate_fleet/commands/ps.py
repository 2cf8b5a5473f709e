"""`fleet ps`: who holds what, which attempt, and what waits."""

from argparse import Namespace
from bisect import bisect_right
from collections.abc import Iterable
from functools import partial
from itertools import accumulate
from typing import Final

import msgspec
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from resonate_fleet.commands.addresses import add_addresses, addresses
from resonate_fleet.commands.options import add_json
from resonate_fleet.commands.snapshot import (
    FleetSnapshot,
    by_the_steward,
    failed_lately,
    snapshot_of,
)
from resonate_fleet.commands.tables import ago, console, print_json, table
from resonate_fleet.contract import exits
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.jobs import JobLine
from resonate_fleet.contract.live import LiveAttempt, LiveMember, LiveState
from resonate_fleet.contract.options import Parser, tell
from resonate_fleet.contract.screen import plain
from resonate_fleet.contract.shown import natural

#: Failures shown, of those that the steward has seen.
SHOWN: Final = 10


def parser(prog: str) -> Parser:
    about = """\
Who holds what, which attempt, and how many jobs wait: by the steward, else by the server alone.
"""
    made = Parser(prog=prog, usage=f"{prog} [options]", description=about)
    add_json(made)
    add_addresses(made)
    return made


def run(asked: Namespace) -> int:
    where = addresses(asked)
    found = snapshot_of(where, by_the_steward(where))
    failed: list[JobLine] = []
    try:
        failed = where.ask(partial(failed_lately, found.state, SHOWN))
    except CommandFailed as error:  # the steward's state is shown without it
        tell(f"fleet ps: failures are left out: {error}")
    if asked.json:
        more = {"source": found.source, "failed": msgspec.to_builtins(failed)}
        print_json(msgspec.to_builtins(found.state) | more)
    else:
        screen = console()
        screen.print(drawn(found, failed, screen.width))
    return exits.OK


def drawn(found: FleetSnapshot, failed: list[JobLine], width: int) -> RenderableType:
    parts = standing(found, width)
    if failed:
        rows = []
        for one in failed:
            ended, error = _since(one.ended, found.state), one.reason.partition("\n")[0]
            rows.append([one.id, one.state, f"{ended} ago", one.function, error])
        names = ("failed/", "state????", "ended>??", "function???", "error~")
        parts += [Text(), table(names, rows, width)]
    return Group(*parts)


def standing(found: FleetSnapshot, width: int, height: int | None = None) -> list[RenderableType]:
    """Return groups, why jobs wait though slots are free, and members, `height` lines at most."""
    state = found.state
    groups = []
    for one in state.groups:
        counts = [one.running, one.suspended, one.parked, one.members or ""]
        groups.append([one.group, one.waiting, _since(one.oldest, state), *counts])
    names = ("group", "waiting>", "oldest>?", "running>", "suspended>??", "parked>??", "members>?")
    known = table(names, groups, width) if groups else Text("no jobs are under way")
    parts: list[RenderableType] = [plain(found.source, "dim"), Text(), known]
    for one in state.groups:
        for why, count in one.blocked.items():
            first = f": {one.stuck[why]}" if why in one.stuck else ""
            parts.append(plain(f"{one.group}: {count} wait, {why}{first}", "bold yellow"))
    left = None if height is None else height - len(parts) - len(groups) - 2  # a blank, the head
    return [*parts, Text(), *_members(state, width, left)]


def _members(state: LiveState, width: int, most: int | None) -> list[RenderableType]:
    """Return the members, in `most` lines at most, and how many are left out."""
    rows = list(member_rows(state))
    if not rows:
        return [Text("" if state.members else "nothing is held")]
    heads = ("member", "slots>?", "runs/", "attempt>??", "for>", "function~???")
    drawn = table(heads, rows, width)
    ids = next(one.max_width or width for one in drawn.columns if one.header == "runs")
    ends = list(accumulate(-(-cell_len(str(row[2])) // ids) for row in rows))
    if most is None or ends[-1] <= most:
        return [drawn]
    shown = bisect_right(ends, most - 1)
    more = Text(f"and {len(rows) - shown} more", style="dim")
    return [table(heads, rows[:shown], width), more]


def member_rows(state: LiveState) -> Iterable[list[object]]:
    """Yield a row for each member and, below it, for each more job that it holds."""
    held: dict[str, list[LiveAttempt]] = {}
    for one in state.running:
        held.setdefault(one.member, []).append(one)
    known = {one.member: one for one in state.members}
    for name in sorted({*known, *held}, key=natural):
        jobs = held.get(name, [])
        slots: object = known[name].slots if name in known else "?"
        head: list[object] = [name, f"{len(jobs)}/{slots}"]
        if not jobs:
            yield [*head, _idle(known[name], state.at), "", "", ""]
        for one in sorted(jobs, key=lambda one: one.since):
            number = Text(str(one.shown), style="bold green" if one.shown > 1 else "")
            yield [*head, one.task, number, _since(one.since, state), one.function]
            head = ["", ""]


def _idle(member: LiveMember, now: float) -> Text:
    if member.state == "present":
        return Text("idle", style="dim")
    if member.state == "missing":
        left = "" if member.until is None else f", given up in {ago(member.until - now)}"
        return Text(f"missing{left}", style="yellow")
    return Text({"dead": "killed"}.get(member.state, member.state), style="bold red")


def _since(at: float | None, state: LiveState) -> str:
    return ago(state.at - at) if at else ""

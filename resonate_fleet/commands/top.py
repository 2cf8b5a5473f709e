"""`fleet top`: the live view of any running fleet, here, in Compose or behind a port-forward."""

import asyncio
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import aiohttp
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from resonate_fleet.commands.addresses import Addresses, add_addresses, addresses
from resonate_fleet.commands.changes import Change, Changes
from resonate_fleet.commands.looks import Held, Look, Present, look, roll
from resonate_fleet.commands.ps import ago, plain_table, queue_row, wide_console
from resonate_fleet.commands.screen import STYLES
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.settings import integer, seconds
from resonate_fleet.contract.wire import Refused, Unreachable, Wire

#: Changes that stay in view.
SHOWN: Final = 10
#: A look may take at most this part of the time: a large backlog is looked at less often.
SHARE: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Options:
    """`looks` 0: until Ctrl-C."""

    where: Addresses
    interval: float
    looks: int


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description="The live view of a running fleet, until Ctrl-C.")
    add = made.add_argument
    add(
        "--interval", type=typed(seconds(0.05, 3600)), default=0.5, metavar="S", help="default: 0.5"
    )
    many = "end after so many looks"
    add("--looks", type=typed(integer(0, 10**9)), default=0, metavar="N", help=many)
    add_addresses(made)
    return made


class View:
    """Everything that is drawn."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.changes = Changes()
        self.seen: Look | None = None
        self.present: list[Present] | None = None
        self.news: list[Change] = []
        self.trouble = ""
        #: Seconds that the last look took.
        self.spent = 0.0

    def take(self, seen: Look, present: list[Present] | None) -> None:
        self.news += self.changes.take(seen, present)
        self.seen, self.present, self.trouble = seen, present, ""


def run(asked: Namespace) -> int:
    """Look until told to stop; return the exit code."""
    options = Options(where=addresses(asked), interval=asked.interval, looks=asked.looks)
    try:
        return asyncio.run(_watch(options))
    except KeyboardInterrupt:
        return exits.OK  # Ctrl-C is how a live view is left


async def _watch(options: Options) -> int:
    view, console = View(options.where.server), wide_console()
    async with Wire(options.where.server, options.where.token, timeout=5.0) as wire:
        if console.is_terminal:
            with Live(console=console, auto_refresh=False, screen=True) as live:
                await _look_on(view, wire, options, lambda: live.update(draw(view), refresh=True))
        else:
            await _look_on(view, wire, options, _Printer(view, console))
    if view.trouble:
        sys.stderr.write(f"fleet top: {view.trouble}\n")
        return exits.FAILED
    return exits.OK


async def _look_on(view: View, wire: Wire, options: Options, show: Callable[[], None]) -> None:
    looks = 0
    while looks == 0 or looks != options.looks:
        if looks:
            await asyncio.sleep(max(options.interval, view.spent / SHARE))
        began = time.monotonic()
        await _take(view, wire, options)
        view.spent = time.monotonic() - began
        looks += 1
        show()


class _Printer:
    """Where there is no terminal: the first picture, then a line for each change."""

    def __init__(self, view: View, console: Console) -> None:
        self._view = view
        self._console = console
        self._told = -1

    def __call__(self) -> None:
        if self._told < 0:
            self._console.print(draw(self._view))
            self._told = 0
        for change in self._view.news[self._told :]:
            self._console.print(f"{_clock(change.at)}  {change.text}", highlight=False)
        self._told = len(self._view.news)


async def _take(view: View, wire: Wire, options: Options) -> None:
    present: list[Present] | None = None
    with suppress(OSError, TimeoutError, ValueError, aiohttp.ClientError):
        present = await roll(options.where.steward)
    try:
        view.take(await look(wire, time.time() - 60), present)
    except (Unreachable, Refused) as failed:
        view.trouble = str(failed)


def draw(view: View) -> RenderableType:
    """Return the whole picture."""
    head = Text.assemble(("fleet top", "bold"), f"  {view.server}  {time.strftime('%H:%M:%S')}")
    if view.trouble:
        head.append(f"  {view.trouble}", style="bold red")
    parts: list[RenderableType] = [head, Text()]
    if view.seen is not None:
        parts += [_queues(view.seen), Text(), _members(view, view.seen)]
    if view.present is None:
        parts.append(Text("no steward asked: members that hold nothing are not seen", style="dim"))
    parts += [Text(), _news(view)]
    return Group(*parts)


def _queues(seen: Look) -> RenderableType:
    table = plain_table("group", "waiting>", "oldest>", "running>", "suspended>", "parked>")
    for one in seen.queues:
        table.add_row(*queue_row(one, seen.at))
    return table if seen.queues else Text("no jobs are under way", style="dim")


def _members(view: View, seen: Look) -> Table:
    table = plain_table("member", "slots>", "runs", "function", "attempt>", "since>")
    holds: dict[str, list[Held]] = {one.member: [] for one in view.present or [] if one.present}
    for held in seen.held:
        holds.setdefault(held.member, []).append(held)
    slots = {one.member: one.slots for one in view.present or []}
    for member, held_here in sorted(holds.items()):
        used = f"{len(held_here)}/{slots.get(member) or '?'}"
        if not held_here:
            table.add_row(member, used, Text("idle", style="dim"))
        for row, one in enumerate(held_here):
            since = seen.at - view.changes.since.get((one.task, one.attempt), seen.at)
            attempt = Text(str(one.attempt), style="bold green" if one.attempt > 1 else "")
            first = (member, used) if row == 0 else ("", "")
            table.add_row(*first, one.task, one.function, attempt, ago(since))
    return table


def _news(view: View) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for change in view.news[-SHOWN:]:
        table.add_row(
            Text(_clock(change.at), style="dim"),
            Text(change.text, style=STYLES.get(change.kind, "")),
        )
    return table


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))

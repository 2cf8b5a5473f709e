"""`fleet quarantine`: what an operator does about jobs that were parked."""

import asyncio
import sys
import time
from argparse import Namespace
from contextlib import suppress
from typing import Final

import aiohttp
import msgspec

from resonate_fleet.commands.addresses import Addresses, add_addresses, addresses
from resonate_fleet.commands.live import by_the_steward
from resonate_fleet.commands.tables import ago, console, plain, table
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.wire import Refused, Unreachable, Wire
from resonate_fleet.steward import parked as desk
from resonate_fleet.steward.parked import NotParked, ParkedJob
from resonate_fleet.steward.quarantine import Record

ACTIONS: Final = {
    "list": "all that is parked",
    "show": "what happened to a job",
    "redrive": "give jobs back to their group; their crashes are forgotten",
    "reject": "end jobs as rejected, for whoever awaits them",
}


def parser(prog: str) -> Parser:
    made = Parser(
        prog=prog, description="Jobs that crashed their workers too often and were parked."
    )
    actions = made.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS))
    for name, says in ACTIONS.items():
        one = actions.add_parser(name, help=says, description=says)
        if name != "list":
            one.add_argument("jobs", nargs="+", metavar="JOB")
        if name == "reject":
            one.add_argument("--why", default="rejected by hand", metavar="TEXT")
        if name in ("list", "show"):
            one.add_argument("--json", action="store_true")
        add_addresses(one)
    return made


def run(asked: Namespace) -> int:
    """Do it; return the exit code."""
    try:
        return asyncio.run(_do(asked, addresses(asked)))
    except NotParked as mistake:
        raise Mistake(str(mistake)) from None
    except (Unreachable, Refused) as failed:
        sys.stderr.write(f"fleet quarantine: {failed}\n")
        return exits.FAILED


async def _do(asked: Namespace, where: Addresses) -> int:
    async with Wire(where.server, where.token, timeout=5.0) as wire:
        if asked.action == "list":
            known, source = _known(where)
            found = await desk.parked(wire, await _records(where), known)
            _list(found, source, as_json=asked.json)
            return exits.OK
        for job in asked.jobs:
            await _do_one(wire, asked, where, job)
    return exits.OK


async def _do_one(wire: Wire, asked: Namespace, where: Addresses, job: str) -> None:
    if asked.action == "show":
        _show(await desk.show(wire, job, await _records(where)), as_json=asked.json)
    elif asked.action == "redrive":
        await desk.redrive(wire, job)
        sys.stdout.write(f"{clean(job)} is back in its group\n")
    else:
        promise = await desk.reject(wire, job, asked.why)
        sys.stdout.write(f"{clean(job)} is {promise.state}\n")


def _known(where: Addresses) -> tuple[list[str] | None, str]:
    """Return the parked tasks that the steward has seen, None without one, and who says so."""
    state = by_the_steward(where.steward_url) if where.steward_url else None
    if state is None or not state.searched:
        return None, "by the server alone: nobody remembers crashes"
    source = f"{state.steward}, {ago(state.at - state.searched)} after its last search"
    return [one.task for one in state.parked], source


async def _records(where: Addresses) -> dict[str, Record]:
    """Return what the steward remembers; nothing where it does not answer."""
    if where.steward_url is not None:
        with suppress(OSError, TimeoutError, ValueError, aiohttp.ClientError):
            return await desk.records_from_page(where.steward_url)
    return {}


def _list(found: list[ParkedJob], source: str, *, as_json: bool) -> None:
    if as_json:
        _print_json(found)
        return
    screen = console()
    screen.print(plain(source, "dim"))
    if not found:
        screen.print("the quarantine is empty")
        return
    rows = [
        (
            one.task,
            one.function or "",
            one.group or "",
            one.claims,
            one.record.count if one.record else "?",
            f"{ago(time.time() - one.created)} ago",
        )
        for one in found
    ]
    names = ("parked", "function~", "group?", "claims>", "crashes>", "created>?")
    screen.print(table(names, rows, screen.width))


def _show(one: ParkedJob, *, as_json: bool) -> None:
    if as_json:
        _print_json(one)
        return
    lines = [
        f"task      {one.task}",
        f"function  {one.function}",
        f"group     {one.group}",
        f"claims    {one.claims}",
        f"created   {_clock(one.created)}",
    ]
    if one.record is None:
        lines.append("crashes   not known: no steward answered that remembers them")
    else:
        for crash in one.record.crashes:
            blamed = "" if crash.blamed else " (not blamed)"
            lines.append(f"crash     {_clock(crash.at)} on {crash.member}{blamed}")
        if one.record.parked_at is not None:
            lines.append(f"parked    {_clock(one.record.parked_at)}")
    sys.stdout.write("".join(f"{clean(line)}\n" for line in lines))


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))

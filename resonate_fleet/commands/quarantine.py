"""`fleet quarantine`: what an operator does about jobs that were parked."""

import asyncio
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import aiohttp
import msgspec

from resonate_fleet.commands.ps import ago, plain_table, wide_console
from resonate_fleet.contract import exits
from resonate_fleet.contract.wire import Refused, Unreachable, Wire
from resonate_fleet.steward import quarantine_desk as desk
from resonate_fleet.steward.quarantine import Record
from resonate_fleet.steward.quarantine_desk import NotParked, ParkedJob

Action = Literal["list", "show", "redrive", "reject"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """`jobs` for all but `list`; `why` for `reject`. The steward knows what happened before."""

    action: Action
    server: str
    token: str | None
    steward: str | None
    jobs: tuple[str, ...] = ()
    why: str = ""
    json: bool = False


def run(options: Options) -> int:
    """Do it; return the exit code."""
    try:
        return asyncio.run(_do(options))
    except NotParked as mistake:
        sys.stderr.write(f"fleet quarantine: {mistake}\n")
        return exits.USAGE
    except (Unreachable, Refused) as failed:
        sys.stderr.write(f"fleet quarantine: {failed}\n")
        return exits.FAILED


async def _do(options: Options) -> int:
    async with Wire(options.server, options.token, timeout=5.0) as wire:
        if options.action == "list":
            _list(await desk.parked(wire, await _records(options)), as_json=options.json)
        for job in options.jobs:
            if options.action == "show":
                found = await desk.show(wire, job, await _records(options))
                _show(found, as_json=options.json)
            elif options.action == "redrive":
                await desk.redrive(wire, job)
                sys.stdout.write(f"{job} is back in its group\n")
            else:
                promise = await desk.reject(wire, job, options.why)
                sys.stdout.write(f"{job} is {promise.state}\n")
    return exits.OK


async def _records(options: Options) -> dict[str, Record]:
    """Return what the steward remembers; nothing where it does not answer."""
    if options.steward is not None:
        with suppress(OSError, TimeoutError, ValueError, aiohttp.ClientError):
            return await desk.records_from_page(options.steward)
    return {}


def _list(found: list[ParkedJob], *, as_json: bool) -> None:
    if as_json:
        _print_json(found)
        return
    if not found:
        sys.stdout.write("the quarantine is empty\n")
        return
    table = plain_table("parked", "function", "group", "claims>", "crashes>", "created>")
    for one in found:
        crashes = str(one.record.count) if one.record else "?"
        created = f"{ago(time.time() - one.created)} ago"
        row = (one.task, one.function or "", one.group or "", str(one.claims), crashes, created)
        table.add_row(*row)
    wide_console().print(table)


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
    sys.stdout.write("\n".join(lines) + "\n")


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))

"""`fleet job ID`: all that is known of one job."""

import asyncio
import sys
import time
from argparse import Namespace
from collections.abc import Iterator

import msgspec

from resonate_fleet.commands import hand
from resonate_fleet.commands.addresses import PATIENCE, Addresses, add_addresses, addresses
from resonate_fleet.commands.tables import ago
from resonate_fleet.contract import exits
from resonate_fleet.contract.jobviews import ChildLine, JobPage
from resonate_fleet.contract.options import Parser
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.wire import Refused, Unreachable, Wire
from resonate_fleet.steward import jobs


def parser(prog: str) -> Parser:
    ending = "exit codes: 0 shown; 2 there is no such job; 4 no answer from the server."
    made = Parser(prog=prog, description="Show one job.", epilog=ending)
    made.add_argument("id", metavar="ID")
    made.add_argument("--json", action="store_true")
    add_addresses(made)
    return made


def run(asked: Namespace) -> int:
    """Show the job; return the exit code.

    Raises:
        Mistake: there is no such job.
    """
    where = addresses(asked)
    try:
        page = hand.page_of(where, asked.id)
        steward = page is not None
        page = page or asyncio.run(_alone(where, asked.id))
    except (Unreachable, Refused) as failed:
        sys.stderr.write(f"fleet job: {failed}\n")
        return exits.FAILED
    if asked.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(page), indent=2).decode() + "\n")
        return exits.OK
    for line in _lines(page, steward=steward):
        sys.stdout.write(f"{clean(line)}\n")
    return exits.OK


async def _alone(where: Addresses, id: str) -> JobPage:
    async with Wire(where.server, where.token, PATIENCE) as wire:
        try:
            return await jobs.page(wire, id)
        except jobs.NoSuchJob as none:
            raise Mistake(str(none)) from None


def _lines(page: JobPage, *, steward: bool) -> Iterator[str]:
    version = f" version {page.version}" if page.version > 1 else ""
    yield f"job        {page.id}"
    yield f"state      {page.state}" + (f": {page.reason}" if page.reason else "")
    yield f"function   {page.function or '-'}{version}"
    yield f"group      {page.group or '-'}"
    yield f"created    {_moment(page.created)}"
    yield f"ended      {_moment(page.ended)}"
    yield f"claims     {page.claims}"
    if page.repeats:
        yield f"repeats    {page.repeats}"
    for one in page.repeated:
        yield f"repeated   {one}"
    if page.hidden:
        yield "arguments  hidden (STEWARD_CONSOLE_PAYLOADS)"
    else:
        yield f"arguments  {_json(page.kwargs or page.args)}"
    for key, value in sorted(page.tags.items()):
        yield f"tag        {key}={value}"
    yield from _attempts(page, steward=steward)
    yield from _children(page.children, "")
    if page.state == "done" and not page.hidden:
        yield f"result     {_json(page.result)}"
    for number, line in enumerate(page.error.splitlines()):
        yield f"error      {line}" if number == 0 else f"           {line}"


def _attempts(page: JobPage, *, steward: bool) -> Iterator[str]:
    for one in page.attempts:
        end = f", {one.outcome} at {_clock(one.ended)}" if one.ended else ", runs"
        number = "-" if one.outcome == "unknown-function" else one.attempt
        yield f"attempt    {number} on {one.member}, claimed at {_clock(one.since)}{end}"
    if not steward and page.claims:
        yield "attempt    not known: no steward answered that remembers them"


def _children(children: list[ChildLine], indent: str) -> Iterator[str]:
    for one in children:
        yield f"child      {indent}{one.id} {one.function} {one.state}"
        yield from _children(one.children, indent + "  ")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _moment(at: float | None) -> str:
    return f"{_clock(at)}, {ago(time.time() - at)} ago" if at else "-"


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))

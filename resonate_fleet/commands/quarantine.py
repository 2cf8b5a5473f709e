"""`fleet quarantine`: what an operator does about jobs that were parked."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from typing import Final

from resonate_fleet.commands.addresses import (
    REASON,
    Addresses,
    add_addresses,
    addresses,
    ask,
    each,
    from_steward,
)
from resonate_fleet.commands.snapshot import by_the_steward
from resonate_fleet.commands.tables import (
    ago,
    console,
    moment,
    plain,
    print_fields,
    print_json,
    table,
)
from resonate_fleet.contract import exits, parked
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.parked import CrashRecord, CrashRecords, ParkedJob
from resonate_fleet.contract.settings import filled
from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.wire import Wire

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
            one.add_argument("jobs", nargs="+", type=typed(filled("an id")), metavar="JOB")
        if name == "reject":
            one.add_argument("--why", default="rejected by hand", type=REASON, metavar="TEXT")
        if name in ("list", "show"):
            one.add_argument("--json", action="store_true")
        add_addresses(one)
    return made


def run(asked: Namespace) -> int:
    where = addresses(asked)
    return ask(where, partial(_list if asked.action == "list" else _each, asked, where))


async def _list(asked: Namespace, where: Addresses, wire: Wire) -> int:
    known, source = _known(where)
    found = await parked.parked(wire, _records(where), known)
    if asked.json:
        print_json(found)
        return exits.OK
    screen = console()
    screen.print(plain(source, "dim"))
    if not found:
        screen.print("the quarantine is empty")
        return exits.OK
    rows = []
    for one in found:
        crashes = one.record.count if one.record else "?"
        age = f"{ago(wire.clock.now() - one.created)} ago"
        rows.append((one.task, one.function or "", one.group or "", one.claims, crashes, age))
    names = ("parked/", "function~", "group???", "claims>??", "crashes>", "created>?")
    screen.print(table(names, rows, screen.width))
    return exits.OK


def _known(where: Addresses) -> tuple[list[str] | None, str]:
    """Return the parked tasks that the steward has seen, None without one, and who says so."""
    state = by_the_steward(where.steward_url)
    if state is None or not state.searched:
        return None, "by the server alone: nobody remembers crashes"
    source = f"{state.steward}, {ago(state.at - state.searched)} after its last search"
    return [one.task for one in state.parked], source


def _records(where: Addresses) -> dict[str, CrashRecord]:
    """Return what the steward remembers, by task; nothing where it does not answer."""
    page = from_steward(where.steward_url, "quarantine", CrashRecords)
    return {record.task: record for record in page.records} if page else {}


async def _each(asked: Namespace, where: Addresses, wire: Wire) -> int:
    records = _records(where) if asked.action == "show" else {}

    async def act(job: str) -> None:
        if asked.action == "show":
            one = await parked.show(wire, job, records)
            if asked.json:
                print_json(one)
            else:
                print_fields(_fields(one))
        elif asked.action == "redrive":
            await parked.redrive(wire, job)
            sys.stdout.write(f"{clean(job)} is back in its group\n")
        else:
            promise = await parked.reject(wire, job, asked.why)
            sys.stdout.write(f"{clean(job)} is {promise.state}\n")

    return await each("fleet quarantine", asked.jobs, act)


def _fields(one: ParkedJob) -> Iterator[tuple[str, object]]:
    yield "task", one.task
    yield "function", one.function
    yield "group", one.group
    yield "claims", one.claims
    yield "created", moment(one.created)
    if one.record is None:
        yield "crashes", "not known: no steward answered that remembers them"
        return
    for crash in one.record.crashes:
        blamed = "" if crash.blamed else " (not blamed)"
        yield "crash", f"{moment(crash.at)} on {crash.member}{blamed}"
    if one.record.parked_at is not None:
        yield "parked", moment(one.record.parked_at)

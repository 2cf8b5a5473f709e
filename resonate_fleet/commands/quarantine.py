"""`fleet quarantine`: what an operator does about jobs that were parked."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Final

import msgspec

from resonate_fleet.commands.addresses import Addresses, add_addresses, addresses, each
from resonate_fleet.commands.options import add_ids, add_json, add_reason
from resonate_fleet.commands.snapshot import by_the_steward
from resonate_fleet.commands.tables import (
    ago,
    console,
    moment,
    print_fields,
    print_json,
    print_table,
)
from resonate_fleet.contract import exits, jobacts
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import JobLine, line_of
from resonate_fleet.contract.live import CrashRecord, CrashRecords
from resonate_fleet.contract.options import Parser
from resonate_fleet.contract.screen import plain
from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.wire import Task, Wire

ACTIONS: Final = {
    "list": "all that is parked",
    "show": "what happened to a job",
    "redrive": "give jobs back to their group; their crashes are forgotten",
    "reject": "end jobs as rejected, for whoever awaits them",
}


class ParkedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A task in quarantine. `created` in Unix seconds; `record` is None without a steward's.

    `task` is the job's id, or that of a child which is a task of its own.
    """

    task: str
    job: str
    group: str | None
    function: str | None
    claims: int
    created: float
    record: CrashRecord | None = None


def parser(prog: str) -> Parser:
    made = Parser(
        prog=prog, description="Jobs that crashed their workers too often and were parked."
    )
    actions = made.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS))
    for name, says in ACTIONS.items():
        one = actions.add_parser(name, help=says, description=says)
        if name != "list":
            add_ids(one, "jobs")
        if name == "reject":
            add_reason(one, "rejected by hand")
        if name in ("list", "show"):
            add_json(one)
        add_addresses(one)
    return made


def run(asked: Namespace) -> int:
    where = addresses(asked)
    return where.ask(partial(_list if asked.action == "list" else _each, asked, where))


async def _list(asked: Namespace, where: Addresses, wire: Wire) -> int:
    known, source = _known(where)
    found = await parked(wire, _records(where), known)
    if asked.json:
        print_json(found)
        return exits.OK
    console().print(plain(source, "dim"))
    if not found:
        sys.stdout.write("the quarantine is empty\n")
        return exits.OK
    rows = []
    for one in found:
        crashes = one.record.count if one.record else "?"
        age = f"{ago(wire.clock.now() - one.created)} ago"
        rows.append((one.task, one.function or "", one.group or "", one.claims, crashes, age))
    names = ("parked/", "function~", "group???", "claims>??", "crashes>", "created>?")
    print_table(names, rows)
    return exits.OK


async def parked(
    wire: Wire, records: Mapping[str, CrashRecord], known: Iterable[str] | None = None
) -> list[ParkedJob]:
    """Return every parked task, in id order; with `known`, those of them that are still parked.

    Without `known` the server searches its store.

    Raises:
        Unreachable, Refused: as the wire does.
    """
    if known is None:
        tasks = [task async for task in wire.all_tasks("halted")]
    else:
        found = [await wire.task(name) for name in sorted(set(known))]
        tasks = [task for task in found if task is not None and task.state == "halted"]
    return [await _describe(wire, task, records) for task in tasks]


async def _describe(wire: Wire, task: Task, records: Mapping[str, CrashRecord]) -> ParkedJob:
    promise = await wire.promise(task.id)
    line = line_of(promise, task) if promise else JobLine(id=task.id, state="parked")
    return ParkedJob(
        task=task.id,
        job=root_of(task.id),
        group=line.group or None,
        function=line.function or None,
        claims=task.version,
        created=line.created or 0.0,
        record=records.get(task.id),
    )


def _known(where: Addresses) -> tuple[list[str] | None, str]:
    """Return the parked tasks that the steward has seen, None without one, and who says so."""
    state = by_the_steward(where)
    if state is None or not state.searched:
        return None, "by the server alone: nobody remembers crashes"
    source = f"{state.steward}, {ago(state.at - state.searched)} after its last search"
    return [one.task for one in state.parked], source


def _records(where: Addresses) -> dict[str, CrashRecord]:
    """Return what the steward remembers, by task; nothing where it does not answer."""
    page = where.ask_steward("quarantine", CrashRecords)
    return {record.task: record for record in page.records} if page else {}


async def _each(asked: Namespace, where: Addresses, wire: Wire) -> int:
    records = _records(where) if asked.action == "show" else {}

    async def act(job: str) -> None:
        if asked.action == "show":
            one = await _describe(wire, await jobacts.parked_task(wire, job), records)
            if asked.json:
                print_json(one)
            else:
                print_fields(_fields(one))
        elif asked.action == "redrive":
            await jobacts.redrive(wire, job)
            sys.stdout.write(f"{clean(job)} is back in its group\n")
        else:
            promise = await jobacts.reject(wire, job, asked.why)
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

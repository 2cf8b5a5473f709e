"""`fleet schedule`: jobs that the server itself creates, at the times of a cron expression."""

import sys
import time
from argparse import Namespace
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from resonate_fleet.commands.addresses import add_addresses, addresses, each
from resonate_fleet.commands.options import add_ids, add_json
from resonate_fleet.commands.tables import print_fields, print_json, print_table
from resonate_fleet.contract import exits
from resonate_fleet.contract.clock import now_ms
from resonate_fleet.contract.envelope import Value, encode_value
from resonate_fleet.contract.options import Parser, typed
from resonate_fleet.contract.schedules import Schedule, all_schedules
from resonate_fleet.contract.settings import Mistake, integer, name, seconds
from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.wire import Wire, part
from resonate_fleet.contract.words import DEFAULT_GROUP, TAG_TARGET, anycast
from resonate_fleet.server.cron import ACCEPTED, Cron
from resonate_fleet.submit.load import (
    ARGUMENTS,
    KEY,
    PRIORITY,
    VERSION,
    arguments,
    call,
    policy_tags,
)
from resonate_fleet.submit.settings import FUNCTION, LONGEST

PROG: Final = "fleet schedule"
ACTIONS: Final = {
    "add": "create a schedule",
    "list": "all schedules",
    "show": "one schedule and its next runs",
    "remove": "end schedules; jobs that they created stay",
}
#: The id of each run's job, as the SDKs name it.
JOB_ID: Final = "{{.id}}-{{.timestamp}}"
#: Runs to come that `show` lists.
SHOWN: Final = 5


def parser(prog: str = PROG) -> Parser:
    made = Parser(prog=prog, description="Jobs at the times of a cron expression, in UTC.")
    actions = made.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS))
    for action, says in ACTIONS.items():
        one = actions.add_parser(action, help=says, description=None if action == "add" else says)
        if action == "add":
            _add_options(one)
        if action == "remove":
            add_ids(one)
        if action == "show":
            add_ids(one, "id", many=None)
        if action in ("list", "show"):
            add_json(one)
        add_addresses(one, steward=False)
    return made


def _add_options(one: Parser) -> None:
    add = one.add_argument
    add("id", metavar="ID", help="the schedule's name")
    add("cron", metavar="CRON", help=f"when, in UTC: {ACCEPTED}")
    add("function", type=typed(FUNCTION), metavar="FUNCTION", help="its name")
    add("--args", metavar="JSON", help=ARGUMENTS)
    add("--version", type=typed(integer(1, 2**31)), default=1, metavar="N", help=VERSION)
    group, usual = typed(name("group")), f"default: {DEFAULT_GROUP}"
    add("--group", type=group, default=DEFAULT_GROUP, metavar="NAME", help=usual)
    add("--priority", type=typed(PRIORITY), metavar="N", help="of each run's job; default: 3")
    add(
        "--key",
        type=typed(KEY),
        metavar="KEY",
        help="whose share and limits each run's job counts for",
    )
    template = f"id of each run's job, with {{{{.timestamp}}}}; default: {JOB_ID}"
    add("--job-id", default=JOB_ID, metavar="TEMPLATE", help=template)
    limit = "seconds from a run's time after which its job is not run any more; default: a day"
    add("--timeout", type=typed(seconds(0.001, LONGEST)), default=86_400.0, metavar="S", help=limit)


def run(asked: Namespace) -> int:
    acts = {"add": _add, "list": _list, "show": _show, "remove": _remove}
    return addresses(asked).ask(partial(acts[asked.action], asked)) or exits.OK


async def _add(asked: Namespace, wire: Wire) -> None:
    _check_cron(asked.cron)
    if "{{.timestamp}}" not in asked.job_id:
        raise Mistake(
            f"--job-id is {asked.job_id!r}; accepted: a text with {{{{.timestamp}}}}, "
            "for an id has one job only"
        )
    for word, text in (("ID", asked.id), ("--job-id", asked.job_id)):
        if not text or ":" in text:
            raise Mistake(f"{word} is {text!r}; accepted: a text without `:`")
    runs = call(asked.function, arguments(asked.args), asked.version)
    attributes = policy_tags(asked.priority, asked.key, None)
    wanted = Schedule(
        id=asked.id,
        cron=asked.cron,
        promise_id=asked.job_id,
        promise_timeout=round(asked.timeout * 1000),
        promise_param=msgspec.convert(encode_value(runs), Value),
        promise_tags={TAG_TARGET: anycast(asked.group)} | attributes,
    )
    reply = await wire.call("schedule.create", msgspec.to_builtins(wanted))
    made = part(wire.url, reply, "schedule", Schedule)
    if _asked(made) != _asked(wanted):
        raise Mistake(f"a schedule {asked.id!r} is there already and differs: remove it first")
    sys.stdout.write(f"{clean(made.id)} runs next at {clock(made.next_run_at)}\n")


def _asked(one: Schedule) -> tuple[Any, ...]:
    """Return what its creator chose."""
    return (one.cron, one.promise_id, one.promise_timeout, one.call, one.promise_tags)


def _check_cron(expression: str) -> None:
    try:
        cron = Cron(expression)
    except ValueError:
        raise Mistake(f"CRON is {expression!r}; accepted: {ACCEPTED}") from None
    if cron.first_after(now_ms()) is None:
        raise Mistake(
            f"CRON is {expression!r}, which the server finds no time for and would run each "
            "minute; accepted: an expression with a time to come"
        )


async def _list(asked: Namespace, wire: Wire) -> None:
    found = [one async for one in all_schedules(wire)]
    if asked.json:
        print_json([_plain(one) for one in found])
        return
    if not found:
        sys.stdout.write("there are no schedules\n")
        return
    rows = [
        (one.id, one.cron, one.call.func, one.group, _next(one, wire), clock(one.last_run_at))
        for one in found
    ]
    names = ("schedule/", "cron~", "function~?", "group??", "next run", "last run???")
    print_table(names, rows)


async def _show(asked: Namespace, wire: Wire) -> None:
    reply = await wire.call("schedule.get", {"id": asked.id}, accept=(404,))
    if not reply.ok:
        raise Mistake(f"there is no schedule {asked.id!r}")
    one = part(wire.url, reply, "schedule", Schedule)
    if asked.json:
        print_json(_plain(one))
        return
    made, times = one.call, [one.next_run_at]
    with suppress(ValueError):  # other programs may have put there what only the server reads
        cron = Cron(one.cron)
        while len(times) < SHOWN:
            times.append(cron.next(times[-1]))
    lines = {
        "schedule": one.id,
        "cron": f"{one.cron} (UTC)",
        "function": made.func if made.version == 1 else f"{made.func} version {made.version}",
        "arguments": msgspec.json.encode(made.kwargs or made.args).decode(),
        "group": one.group,
        "tag": [f"{tag}={v}" for tag, v in one.promise_tags.items() if tag != TAG_TARGET],
        "job ids": one.promise_id,
        "timeout": f"{one.promise_timeout / 1000:g} s after its time",
        "created": clock(one.created_at),
        "last run": clock(one.last_run_at) or "none yet",
        "next run": [_next(one, wire), *(clock(at) for at in times[1:])],
    }
    print_fields(lines.items())


async def _remove(asked: Namespace, wire: Wire) -> int:
    async def remove(id: str) -> None:
        if not (await wire.call("schedule.delete", {"id": id}, accept=(404,))).ok:
            raise Mistake(f"there is no schedule {id!r}")
        sys.stdout.write(f"{clean(id)} is removed\n")

    return await each(PROG, asked.ids, remove)


def _next(one: Schedule, wire: Wire) -> str:
    """Return when it runs next; where that is past, the server is behind with it."""
    return clock(one.next_run_at) + (
        " (late)" if one.next_run_at + 2000 < wire.clock.now_ms() else ""
    )


def _plain(one: Schedule) -> dict[str, Any]:
    """Return it as `--json` shows it, times in Unix seconds."""
    made = one.call
    return {
        "id": one.id,
        "cron": one.cron,
        "function": made.func,
        "version": made.version,
        "args": made.args,
        "kwargs": made.kwargs,
        "group": one.group,
        "job_id": one.promise_id,
        "timeout": one.promise_timeout / 1000,
        "created": one.created_at / 1000,
    } | one.times


def clock(milliseconds: int | None) -> str:
    """Return a time as text, in UTC as the expressions are; nothing for None."""
    if milliseconds is None:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(milliseconds / 1000))

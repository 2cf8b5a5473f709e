"""`fleet job ID`: all that is known of one job."""

from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

import msgspec

from resonate_fleet.commands.addresses import add_addresses, addresses
from resonate_fleet.commands.options import add_ids, add_json
from resonate_fleet.commands.tables import ago, moment, print_fields, print_json
from resonate_fleet.contract import exits, jobacts
from resonate_fleet.contract.jobs import AttemptLine, ChildLine, JobPage
from resonate_fleet.contract.options import Parser


def parser(prog: str) -> Parser:
    ending = "exit codes: 0 shown; 2 there is no such job; 4 no answer from the server."
    made = Parser(prog=prog, description="Show one job.", epilog=ending)
    add_ids(made, "id", many=None)
    add_json(made)
    add_addresses(made)
    return made


def run(asked: Namespace) -> int:
    where = addresses(asked)
    told = where.ask_steward(f"job/{quote(asked.id, safe='')}", JobPage)
    page = told or where.ask(partial(jobacts.page, id=asked.id))
    if asked.json:
        print_json(page)
    else:
        print_fields(_fields(page, steward=told is not None))
    return exits.OK


def _fields(page: JobPage, *, steward: bool) -> Iterator[tuple[str, object]]:
    version = f" version {page.version}" if page.version > 1 else ""
    yield "job", page.id
    yield "state", page.state + (f": {page.reason}" if page.reason else "")
    yield "function", f"{page.function or '-'}{version}"
    yield "group", page.group or "-"
    yield "created", _age(page.created, page.at)
    yield ("ended", _age(page.ended, page.at)) if page.ended else ("times out", _due(page))
    yield "claims", page.claims
    yield "repeats", [page.repeats] if page.repeats else []
    yield "repeated", page.repeated
    hidden = "hidden (STEWARD_CONSOLE_PAYLOADS)"
    yield "arguments", hidden if page.hidden else _json(page.kwargs or page.args)
    yield "note", page.notes
    yield "attempt", [_attempt(one) for one in page.attempts]
    if not steward and page.claims:
        yield "attempt", "not known: no steward answered that remembers them"
    yield "child", list(_children(page.children, ""))
    if page.state == "done" and not page.hidden:
        yield "result", _json(page.result)
    yield "error", page.error.splitlines()
    yield "tag", [f"{key}={value}" for key, value in sorted(page.tags.items())]


def _attempt(one: AttemptLine) -> str:
    end = f"{one.outcome} after {ago(one.ended - one.since)}" if one.ended else "runs"
    number = "-" if one.outcome == "unknown-function" else one.attempt
    return f"{number} on {one.member} at {moment(one.since)}, {end}"


def _children(children: list[ChildLine], indent: str) -> Iterator[str]:
    for one in children:
        yield " ".join(part for part in (indent + one.id, one.function, one.state) if part)
        yield from _children(one.children, indent + "  ")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _age(at: float | None, now: float) -> str:
    return f"{moment(at)}, {ago(now - at)} ago" if at else "-"


def _due(page: JobPage) -> str:
    return f"{moment(page.timeout)}, in {ago(page.timeout - page.at)}" if page.timeout else "-"

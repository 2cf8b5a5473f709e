"""`fleet rerun`: runs jobs again. An id keeps its result for ever, so a rerun is a new job."""

import sys
from argparse import Namespace
from functools import partial
from typing import Final

from resonate_fleet.commands import jobs
from resonate_fleet.commands.addresses import Addresses, add_addresses, addresses, each
from resonate_fleet.commands.options import add_ids
from resonate_fleet.contract.jobacts import rerun
from resonate_fleet.contract.options import Parser
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.wire import Wire

_ENDING: Final = """\
The new job has the tag `fleet:repeats`; `fleet job` of either shows the other. --failed leaves
alone what has been run again.
exit codes: 0 all run again; 2 wrong option, or there is no such job, or it is not over; 4 no
answer from the server.
"""


def parser(prog: str) -> Parser:
    usage = f"{prog} ID... | --failed [--since TIME] [--function NAME] [options]"
    made = Parser(prog=prog, usage=usage, description="Run jobs again.", epilog=_ENDING)
    add_ids(made, many="*")
    made.add_argument("--failed", action="store_true", help="those that ended with an error")
    jobs.add_filters(made)
    made.add_argument("--store", action="store_true", help="search the server's store for them")
    add_addresses(made)
    return made


def run(asked: Namespace) -> int:
    where = addresses(asked)
    return where.ask(partial(_rerun, _ids(asked, where), once=asked.failed))


def _ids(asked: Namespace, where: Addresses) -> list[str]:
    if bool(asked.ids) == asked.failed:
        raise Mistake("give ids, or --failed")
    if asked.ids:
        return jobs.ids_alone(asked, "--failed")
    if asked.state not in (None, "failed"):
        raise Mistake(f"--state is {asked.state!r} beside --failed; accepted: one of them")
    asked.state = "failed"
    found, source = jobs.chosen(asked, where)
    if found.more:
        sys.stderr.write("fleet rerun: more jobs match than are read at once: use --since\n")
    if not found.jobs:
        sys.stderr.write(f"fleet rerun: no failed job matches, {source}\n")
    return [one.id for one in found.jobs]


async def _rerun(ids: list[str], wire: Wire, *, once: bool) -> int:
    """Run each again; return the exit code. `once`: leave those alone that have been."""

    async def one(id: str) -> None:
        last, new = await rerun(wire, id, once=once)
        says = (last, "repeats", id) if new else (id, "is repeated by", f"{last} already")
        sys.stdout.write(f"{clean(' '.join(says))}\n")

    return await each("fleet rerun", ids, one)

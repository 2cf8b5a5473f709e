"""`fleet cancel`: ends jobs. One that waits never starts; the body of one that runs is stopped."""

import sys
from argparse import Namespace
from functools import partial
from itertools import batched
from typing import Final

from resonate_fleet.commands import jobs
from resonate_fleet.commands.addresses import Addresses, add_addresses, addresses, each
from resonate_fleet.commands.options import add_ids, add_reason
from resonate_fleet.contract import exits
from resonate_fleet.contract.jobacts import OverAlready, cancel
from resonate_fleet.contract.options import Parser
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.wire import Wire

_ENDING: Final = """\
exit codes: 0 all are cancelled; 1 one had ended before; 2 wrong option, or there is no such job;
4 no answer from the server, or it refused.
"""
#: Ids that a steward is told of at once: the longest ones fit into what it reads, 64 KiB.
TOLD: Final = 20
_LIVE: Final = frozenset({"waiting", "running", "sleeping", "parked"})


def parser(prog: str) -> Parser:
    usage = f"{prog} ID... | --all --function NAME [options]"
    made = Parser(
        prog=prog, usage=usage, description="Cancel jobs, their children too.", epilog=_ENDING
    )
    add_ids(made, many="*")
    made.add_argument("--all", action="store_true", help="all that match and are not over")
    jobs.add_filters(made)
    made.add_argument("--store", action="store_true", help="search the server's store for them")
    add_reason(made, "cancelled by hand")
    add_addresses(made)
    return made


def run(asked: Namespace) -> int:
    where = addresses(asked)
    ids = _ids(asked, where)
    ended: list[str] = []
    try:
        return where.ask(partial(_cancel, ids, asked.why, ended))
    finally:  # whatever failed later: also at Ctrl-C
        some = ({"jobs": ids} for ids in batched(ended, TOLD))
        answers = (where.ask_steward("settled", dict, body) for body in some)
        if any(answer is None for answer in answers):
            sys.stderr.write(
                "fleet cancel: no steward answers: a body that runs is stopped when its member "
                "next looks at its leases\n"
            )


def _ids(asked: Namespace, where: Addresses) -> list[str]:
    if bool(asked.ids) == asked.all:
        raise Mistake("give ids, or --all with --function, --group, --member or --state")
    if not asked.all:
        return jobs.ids_alone(asked, "--all")
    if not any(getattr(asked, name, None) for name in jobs.FILTERS):
        raise Mistake("--all goes with --function, --group, --member or --state")
    found, source = jobs.chosen(asked, where, live=True)
    if found.more:
        sys.stderr.write("fleet cancel: more jobs match than are read at once: run it again\n")
    live = [one.id for one in found.jobs if one.state in _LIVE]
    if not live:
        sys.stderr.write(f"fleet cancel: no job that matches is under way, {source}\n")
    return live


async def _cancel(ids: list[str], why: str, ended: list[str], wire: Wire) -> int:
    """Cancel each; return the exit code. `ended` gets all that was ended, children too."""

    async def one(id: str) -> int:
        try:
            await cancel(wire, id, why, ended)
        except OverAlready as over:
            sys.stdout.write(f"{clean(over)}\n")
            return exits.BROKEN
        sys.stdout.write(f"{clean(id)} is cancelled\n")
        return exits.OK

    return await each("fleet cancel", ids, one)

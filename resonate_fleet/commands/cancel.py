"""`fleet cancel`: ends jobs. One that waits never starts; the body of one that runs is stopped."""

import asyncio
import sys
from argparse import Namespace
from typing import Final

from resonate_fleet.commands import hand, jobs
from resonate_fleet.commands.addresses import PATIENCE, Addresses, add_addresses, addresses
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.shown import clean
from resonate_fleet.contract.wire import Refused, Unreachable, Wire
from resonate_fleet.steward.jobs import NoSuchJob, OverAlready, cancel

_ENDING: Final = """\
exit codes: 0 all are cancelled; 1 one had ended before; 2 wrong option, or there is no such job;
4 no answer from the server, or it refused.
"""
_LIVE: Final = frozenset({"waiting", "running", "sleeping", "parked"})


def parser(prog: str) -> Parser:
    usage = f"{prog} ID... | --all --function NAME [options]"
    made = Parser(
        prog=prog, usage=usage, description="Cancel jobs, their children too.", epilog=_ENDING
    )
    made.add_argument("ids", nargs="*", metavar="ID")
    made.add_argument("--all", action="store_true", help="all that match and are not over")
    jobs.add_filters(made)
    made.add_argument("--why", default="cancelled by hand", metavar="TEXT")
    add_addresses(made)
    return made


def run(asked: Namespace) -> int:
    """Cancel; return the exit code.

    Raises:
        Mistake: what was typed cannot be meant.
    """
    where = addresses(asked)
    try:
        ids = hand.without_repeats(_ids(asked, where))
        return asyncio.run(_cancel(where, ids, asked.why))
    except (Unreachable, Refused) as failed:
        sys.stderr.write(f"fleet cancel: {failed}\n")
        return exits.FAILED


def _ids(asked: Namespace, where: Addresses) -> list[str]:
    by_filter = [name for name in jobs.FILTERS if getattr(asked, name, None)]
    if bool(asked.ids) == asked.all:
        raise Mistake("give ids, or --all with --function, --group, --member or --state")
    if asked.all and not by_filter:
        raise Mistake("--all goes with --function, --group, --member or --state")
    if not asked.all:
        return list(asked.ids)
    found, _ = jobs.chosen(asked, where)
    return [one.id for one in found.jobs if one.state in _LIVE]


async def _cancel(where: Addresses, ids: list[str], why: str) -> int:
    code, ended = exits.OK, list[str]()
    async with Wire(where.server, where.token, PATIENCE) as wire:
        for one in ids:
            try:
                ended += await cancel(wire, one, why)
                sys.stdout.write(f"{clean(one)} is cancelled\n")
            except OverAlready as over:
                sys.stdout.write(f"{clean(str(over))}\n")
                code = exits.BROKEN
            except NoSuchJob as none:
                sys.stderr.write(f"fleet cancel: {clean(str(none))}\n")
                code = exits.USAGE
    stopped = hand.tell_settled(where, ended) if ended else []
    if stopped is None:
        sys.stderr.write(
            "fleet cancel: no steward answers: a body that runs is stopped when its member next "
            "looks at its leases\n"
        )
    return code

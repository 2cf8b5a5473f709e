"""`fleet top`: the live view of any running fleet, here, in Compose or behind a port-forward."""

import time
from argparse import Namespace
from typing import Final

from resonate_fleet.commands.addresses import add_addresses, addresses
from resonate_fleet.commands.snapshot import snapshot_of
from resonate_fleet.commands.state_stream import StateStream
from resonate_fleet.commands.tables import console
from resonate_fleet.commands.view import Keys, View, clock
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, tell, typed
from resonate_fleet.contract.settings import integer, seconds
from resonate_fleet.contract.wire import Refused, Unreachable

#: A look may take at most this part of the time: a large backlog is looked at less often.
SHARE: Final = 0.2


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description="The live view of a running fleet, until Ctrl-C or q.")
    add = made.add_argument
    interval = typed(seconds(0.05, 3600))
    add("--interval", type=interval, default=0.5, metavar="S", help="default: 0.5")
    many = "end after so many looks; default: 0, until Ctrl-C or q"
    add("--looks", type=typed(integer(0, 10**9)), default=0, metavar="N", help=many)
    add_addresses(made)
    return made


def run(asked: Namespace) -> int:
    where = addresses(asked)
    looks = 0
    try:
        with (
            View(console(), "fleet top", where.server, clock, picture=True) as view,
            Keys() as keys,
            StateStream(where.steward_url) as stream,
        ):
            while True:
                began = time.monotonic()
                try:
                    view.take(snapshot_of(where, stream.state()))
                except (Unreachable, Refused) as failed:
                    view.trouble = str(failed)
                pause = max(asked.interval, (time.monotonic() - began) / SHARE)
                looks += 1
                view.show()
                if looks == asked.looks or "q" in keys.wait(pause):
                    break
    except KeyboardInterrupt:
        return exits.OK  # Ctrl-C is how a live view is left
    if view.trouble:
        tell(f"fleet top: {view.trouble}")
        return exits.FAILED
    return exits.OK

"""`fleet help`: all commands."""

import sys
from argparse import Namespace

from resonate_fleet.commands.table import listing
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser


def parser(prog: str) -> Parser:
    return Parser(prog=prog, description="Print all commands; `fleet help COMMAND`: one of them.")


def run(_: Namespace) -> int:
    sys.stdout.write(listing())
    return exits.OK

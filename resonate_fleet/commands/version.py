"""`fleet version`."""

import sys
from argparse import Namespace
from importlib.metadata import version

from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser


def parser(prog: str) -> Parser:
    return Parser(prog=prog, description="Print the version.")


def run(_: Namespace) -> int:
    sys.stdout.write(f"{version('resonate-fleet')}\n")
    return exits.OK

"""`fleet version`."""

import sys
from argparse import Namespace

from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser
from resonate_fleet.contract.words import package_version


def parser(prog: str) -> Parser:
    return Parser(prog=prog, description="Print the version.")


def run(_: Namespace) -> int:
    sys.stdout.write(f"{package_version()}\n")
    return exits.OK

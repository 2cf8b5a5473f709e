"""`fleet steward`: gives jobs to members and hands over what a dead member held."""

import os
import sys
from argparse import Namespace

from resonate_fleet.contract.options import Parser, add_settings, guarded, read_settings
from resonate_fleet.contract.start import import_structlog, leave_when_told
from resonate_fleet.steward.settings import StewardSettings

_ABOUT = "Give jobs to members and hand over what a dead member held, until SIGTERM or SIGINT."


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, usage=f"{prog} [options]", description=_ABOUT)
    add_settings(made, StewardSettings)
    return made


def run(asked: Namespace) -> int:
    leave_when_told()
    settings = read_settings(StewardSettings, asked, os.environ)
    import_structlog()
    from resonate_fleet.steward.life import live  # noqa: PLC0415 - takes time, see contract/start.py

    return live(settings)


def main() -> int:
    prog = "python -m resonate_fleet.steward"
    return guarded("steward", lambda: run(parser(prog).parse_args()))


if __name__ == "__main__":
    sys.exit(main())

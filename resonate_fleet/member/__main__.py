"""`fleet worker`, `python -m worker`: a member of a group, until SIGTERM or SIGINT."""

import os
import sys
from argparse import Namespace

from resonate_fleet.contract.options import Parser, add_settings, guarded, read_settings
from resonate_fleet.contract.start import import_structlog, leave_when_told
from resonate_fleet.member.settings import Settings

_ABOUT = """\
Run the functions of a module as a member of a group, until SIGTERM or SIGINT.
The module is looked for in the current folder first.
"""


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, usage=f"{prog} [options]", description=_ABOUT)
    add_settings(made, Settings)
    return made


def run(asked: Namespace) -> int:
    leave_when_told()
    settings = read_settings(Settings, asked, os.environ)
    import_structlog()
    # Both take time, see contract/start.py.
    from resonate_fleet.member.life import live  # noqa: PLC0415 - signals first
    from resonate_fleet.member.process import ProcessWide  # noqa: PLC0415 - the same

    return live(settings, ProcessWide())


def main(prog: str = "python -m resonate_fleet.member") -> int:
    return guarded("worker", lambda: run(parser(prog).parse_args()))


if __name__ == "__main__":
    sys.exit(main())

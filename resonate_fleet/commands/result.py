"""`fleet result`: how jobs ended; it reads and never creates."""

import os
from argparse import Namespace
from typing import Final

from resonate_fleet.commands.options import add_ids, add_json
from resonate_fleet.commands.submit import add_wait
from resonate_fleet.contract.exits import CommandFailed
from resonate_fleet.contract.options import Parser, add_settings, read_settings
from resonate_fleet.contract.settings import declared
from resonate_fleet.submit.output import Output
from resonate_fleet.submit.session import await_results
from resonate_fleet.submit.settings import SubmitSettings

_ENDING: Final = """\
exit codes: 0 all ended with a result; 1 a job ended without; 2 wrong option, or there is no such
job; 3 not ended yet; 4 no answer from the server.
"""
#: The settings that reading needs.
_USED: Final = ("url", "token", "deadline")


def parser(prog: str) -> Parser:
    about = "Print how jobs ended: id, state, and the result or the error as JSON."
    made = Parser(prog=prog, usage=f"{prog} ID... [options]", description=about, epilog=_ENDING)
    add_ids(made)
    add_wait(made)
    add_json(made, lines=True)
    unused = [name for name, _ in declared(SubmitSettings) if name not in _USED]
    add_settings(made, SubmitSettings, unused)
    return made


def run(asked: Namespace) -> int:
    settings = read_settings(SubmitSettings, asked, os.environ)
    out = Output(settings.group, json=asked.json)
    code = await_results(settings, asked.ids, asked.wait or 0.0, out, "fleet result")
    if out.lost:
        raise CommandFailed(f"standard output cannot be written: {out.lost}")
    return code

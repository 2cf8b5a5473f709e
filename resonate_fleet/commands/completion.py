"""`fleet completion SHELL`: what makes a shell complete the command."""

import sys
from argparse import Namespace
from typing import Final

from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser

SHELLS: Final = ("bash", "zsh", "fish", "tcsh", "powershell")
_ABOUT: Final = """\
Print what makes a shell complete `fleet`, its commands and their options. For this session:

  bash, zsh   eval "$(fleet completion bash)"
  fish        fleet completion fish | source
"""


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description=_ABOUT)
    made.add_argument("shell", choices=SHELLS)
    return made


def run(asked: Namespace) -> int:
    from argcomplete import shell_integration  # noqa: PLC0415 - only this command needs it

    sys.stdout.write(shell_integration.shellcode(["fleet"], shell=asked.shell) + "\n")
    return exits.OK

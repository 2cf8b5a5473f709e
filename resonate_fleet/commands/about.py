"""`fleet help`, `fleet version`, `fleet completion`: what `fleet` says about itself."""

import sys
from argparse import Namespace
from typing import Final

from resonate_fleet.commands.command_table import COMMANDS, listing
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, complete_with
from resonate_fleet.contract.words import package_version

_ABOUT: Final = {
    "help": "Print all commands; `fleet help COMMAND`: one of them.",
    "version": "Print the version.",
    "completion": """\
Print what makes a shell complete `fleet`, its commands and their options. For this session:

  bash, zsh   eval "$(fleet completion bash)"
  fish        fleet completion fish | source
""",
}
SHELLS: Final = ("bash", "zsh", "fish", "tcsh", "powershell")


def parser(prog: str) -> Parser:
    command = prog.rpartition(" ")[2]
    made = Parser(prog=prog, description=_ABOUT[command])
    made.set_defaults(command=command)
    if command == "completion":
        made.add_argument("shell", choices=SHELLS)
    if command == "help":  # which comes here only without one
        named = made.add_argument("name", nargs="?", metavar="COMMAND")
        complete_with(named, [name for name in COMMANDS if " " not in name])
    return made


def run(asked: Namespace) -> int:
    if asked.command == "completion":
        from argcomplete import shell_integration  # noqa: PLC0415 - only this command needs it

        says = shell_integration.shellcode(["fleet"], shell=asked.shell)
    else:
        says = listing() if asked.command == "help" else package_version()
    sys.stdout.write(f"{says.rstrip()}\n")
    return exits.OK

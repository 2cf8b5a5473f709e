"""The `fleet` command: finds the module of a subcommand and runs it."""

import errno
import os
import re
import signal
import sys
from argparse import Action
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Final

from resonate_fleet.commands.command_table import COMMANDS, listing
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, guarded, tell
from resonate_fleet.contract.settings import masked
from resonate_fleet.contract.start import let_in
from resonate_fleet.contract.std_streams import (
    StdoutLost,
    open_streams,
    plain_streams,
    tell_stdout_apart,
)

#: Set by the shell that asks for completions (argcomplete).
_COMPLETING: Final = "_ARGCOMPLETE"
#: What a write to any file may fail with.
_UNWRITABLE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(arguments: Sequence[str] | None = None) -> int:
    # Ends like Ctrl-C; where it is process 1 of a container, SIGTERM would do nothing by itself.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    open_streams()
    let_in()
    plain_streams()
    tell_stdout_apart()
    if _COMPLETING in os.environ:
        return _complete()
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(typed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except (BrokenPipeError, StdoutLost) as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # whoever read the output has gone
            return exits.UNREAD
        tell(f"fleet: standard output cannot be written: {error.strerror}")
        return exits.FAILED
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        tell(f"fleet: {error.filename or 'a file'} cannot be written: {error.strerror}")
        return exits.USAGE
    return code


def _run(typed: list[str]) -> int:
    name, rest = (typed[0], typed[1:]) if typed else ("help", [])
    name = {"-h": "help", "--help": "help", "--version": "version", "-V": "version"}.get(name, name)
    if name == "help" and rest and not rest[0].startswith("-"):
        name, rest = rest[0], [*rest[1:], "--help"]
    command = COMMANDS.get(" ".join([name, *rest[:1]])) or COMMANDS.get(name)
    if command is None:
        sys.stderr.write(
            f"{listing()}\nfleet: there is no command {masked(name)!r}{_meant(name)}\n"
        )
        return exits.USAGE
    module, prog = import_module(command.module), f"fleet {command.name}"
    words = rest[command.name.count(" ") :]
    return guarded(prog, lambda: module.run(module.parser(prog).parse_args(words)))


def _meant(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    found = get_close_matches(name, COMMANDS, 1)
    return f"; did you mean `fleet {found[0]}`?" if found else ""


def _complete() -> int:
    """Write what may come next to where the shell reads it, and end."""
    import argcomplete  # noqa: PLC0415 - only a shell that completes needs it
    from argcomplete.completers import FilesCompleter  # noqa: PLC0415 - the same

    _, *words = os.environ.get("COMP_LINE", "").rpartition(" ")[0].split() or [""]

    def made(prog: str, **_: object) -> Parser:
        """Import a subcommand only where its own options are asked for."""
        name = prog.partition(" ")[2]
        command = COMMANDS.get(" ".join(words[:2])) or COMMANDS.get(name)
        if command is not None and name in words[:1]:
            found: Parser = import_module(command.module).parser(prog)
            return found
        return Parser(prog=prog)

    def offered(prefix: str, action: Action, **_: object) -> Iterable[str]:
        """Offer files where a path is asked for, else what the kind of a value names."""
        if re.search("FILE|FOLDER|PATH|RUN", str(action.metavar)):
            files: Iterable[str] = FilesCompleter()(prefix)
            return files
        return getattr(action.type, "words", ())

    parser = Parser(prog="fleet")
    commands = parser.add_subparsers(parser_class=made)  # type: ignore[call-overload] # any callable does
    for one in COMMANDS.values():
        if " " not in one.name:
            commands.add_parser(one.name, prog=f"fleet {one.name}", help=one.about)
    argcomplete.autocomplete(parser, default_completer=offered)  # type: ignore[arg-type] # any callable does
    return exits.OK


if __name__ == "__main__":
    sys.exit(main())

"""The command line: each option but a few stands for a setting and wins over its variable."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from resonate_fleet.contract.settings import BadSettings, declared, load
from resonate_fleet.submit.load import bad_ids
from resonate_fleet.submit.settings import ClientSettings

_ABOUT = """\
Create jobs, wait until the server has confirmed each one, print their ids, exit.
Nothing waits for results unless --wait is given: the jobs are durable.
"""

_ENDING = """\
exit codes: 0 all confirmed (with --wait: and resolved); 1 a job ended without its result;
2 wrong option or setting; 4 no answer from the server, or it refused. Ids that were confirmed are
printed in any case, and running again with the same ids doubles nothing.

examples:
  python -m client --count 10 --cost 0.5..2
  python -m client --id invoice-17 --cost 3 --wait
  python -m client --count 1000 --rate 50 --id-prefix monday --seed 7
"""

#: Option and metavar of each setting that has an option; the rest are variables only.
_OPTIONS: Final = {
    "url": ("--url", "URL"),
    "group": ("--group", "GROUP"),
    "count": ("--count", "N"),
    "function": ("--function", "NAME"),
    "cost": ("--cost", "X|A..B"),
    "steps": ("--steps", "N"),
    "seed": ("--seed", "N"),
    "rate": ("--rate", "R"),
    "id_prefix": ("--id-prefix", "WORD"),
    "timeout": ("--timeout", "SECONDS"),
    "deadline": ("--deadline", "SECONDS"),
}


@dataclass(frozen=True)
class Options:
    """What one call of the client was asked to do."""

    settings: ClientSettings
    ids: list[str]
    args: list[Any] | None
    wait: bool
    json: bool


def parse(arguments: Sequence[str], env: Mapping[str, str]) -> Options:
    """Read the command line and the environment.

    Raises:
        BadSettings: with one line for every wrong value.
        SystemExit: for `--help`, or an option that there is not.
    """
    read = _parser().parse_args(arguments)
    given = {field: getattr(read, field) for field in _OPTIONS}
    wrong = bad_ids(read.id)
    if read.id and read.count is not None and read.count != str(len(read.id)):
        wrong.append(f"--count is {read.count!r}; accepted: nothing beside --id")
    args = _args(read.args, wrong)
    try:
        settings = load(ClientSettings, env, given)
    except BadSettings as error:
        raise BadSettings([_as_typed(line, given) for line in error.lines] + wrong) from None
    if wrong:
        raise BadSettings(wrong)
    return Options(settings, read.id, args, read.wait, read.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m client",
        description=_ABOUT,
        epilog=_ENDING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    settings = dict(declared(ClientSettings))
    for field, (option, metavar) in _OPTIONS.items():
        one = settings[field]
        default = f"; default {one.default}" if one.default else ""
        about = f"{one.help} {one.kind.accepts} ({one.env}{default})"
        parser.add_argument(option, dest=field, metavar=metavar, help=about.replace("%", "%%"))
    parser.add_argument(
        "--id", action="append", default=[], metavar="ID", help="An id to use; repeatable."
    )
    parser.add_argument(
        "--args", metavar="JSON", help="Arguments of the function, instead of id and cost."
    )
    parser.add_argument("--wait", action="store_true", help="Wait for the results and print them.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object a line.")
    return parser


def _args(raw: str | None, wrong: list[str]) -> list[Any] | None:
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=list[Any])
    except msgspec.DecodeError:
        wrong.append(f"--args is {raw!r}; accepted: a JSON array")
        return None


def _as_typed(line: str, given: Mapping[str, str | None]) -> str:
    """Name the option where the user typed one."""
    for field, one in declared(ClientSettings):
        if given.get(field) is not None and line.startswith(f"{one.env} is"):
            return _OPTIONS[field][0] + line.removeprefix(one.env)
    return line

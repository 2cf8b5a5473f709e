"""Command lines: options made from declared settings, and how a command tells what went wrong.

A mistake is one line, never a page.
"""

import argparse
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn

from resonate_fleet.contract import exits
from resonate_fleet.contract.paths import NamedPath
from resonate_fleet.contract.settings import (
    Kind,
    Mistake,
    Setting,
    declared,
    load,
    masked,
    sentence,
)
from resonate_fleet.contract.shown import clean

#: Characters of a line that says what went wrong: ids and arguments may be of any length.
LINE_CHARACTERS: Final = 2000


class Parser(argparse.ArgumentParser):
    """Accepts no abbreviated options, keeps the line breaks of texts, and raises `Mistake`."""

    def __init__(self, **given: Any) -> None:
        given.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**given, allow_abbrev=False)

    def parse_args(  # type: ignore[override] # argparse's overloads differ in the namespace's type only
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Read the arguments and check the paths that they name.

        Raises:
            Mistake: they were refused.
        """
        typed = list(sys.argv[1:] if args is None else args)
        for one in typed:
            try:
                one.encode()
            except UnicodeEncodeError:
                shown = one.encode("utf-8", "surrogateescape")
                raise Mistake(f"an argument is {shown!r}; accepted: UTF-8") from None
        given = super().parse_args(typed, namespace)
        for name, value in vars(given).items():
            if isinstance(value, NamedPath):
                value.check(f"--{name.replace('_', '-')}")
        return given

    def error(self, message: str) -> NoReturn:
        # argparse says "argument --id: 'x'; accepted"; settings say "--id is 'x'; accepted".
        message = re.sub(r"^argument (\S+): (invalid choice: )?(?=['\"])", r"\1 is ", message)
        message = re.sub(r" \(choose from (.*)\)$", r"; accepted: \1", message)
        raise Mistake(f"{message} (`{self.prog} --help` says more)")


def complete_with(action: argparse.Action, words: Iterable[str]) -> None:
    """Have the shell offer `words` as the value of `action` (argcomplete reads this attribute)."""
    action.completer = lambda **_: words  # type: ignore[attr-defined] # argcomplete's own


def typed[T](kind: Kind[T]) -> Callable[[str], T]:
    """Return what argparse calls to read an option of this kind."""

    def read(raw: str) -> T:
        try:
            return kind.read(raw)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{masked(raw)!r}; accepted: {kind.accepts}") from None

    read.words = kind.words  # type: ignore[attr-defined] # the completion looks for it
    return read


def add_settings(
    parser: argparse.ArgumentParser, cls: type[Any], leave_out: Collection[str] = ()
) -> None:
    """Give `parser` an option for each setting of `cls` but secrets and the fields left out."""
    group = parser.add_argument_group("settings", "An option wins over its variable.")
    for name, one in declared(cls):
        if one.option and name not in leave_out:
            words = one.kind.words
            word = "PATH" if words is None else one.option.rpartition("-")[2].upper()
            made = group.add_argument(one.option, dest=name, metavar=word, help=_help(one))
            if words:
                complete_with(made, words)


def _help(one: Setting) -> str:
    default = f"; default {one.default}" if one.default else ""
    says = f"{sentence(one.help)} {sentence(one.kind.accepts)} ({one.env}{default})"
    return says.replace("%", "%%")


def read_settings[C](cls: type[C], asked: argparse.Namespace, env: Mapping[str, str]) -> C:
    """Return the settings of `cls` from the options of `add_settings` and from `env`.

    Raises:
        Mistake: with a line for every mistake.
    """
    return load(cls, env, {name: getattr(asked, name, None) for name, _ in declared(cls)})


def is_out_of_threads(error: Exception) -> bool:
    """Say whether the system let this process start no thread; Python has no class for it."""
    return str(error) == "can't start new thread"


def guarded(what: str, main: Callable[[], int]) -> int:
    """Return what `main` returns; print mistakes and failures after the command's name `what`.

    Exit codes: 2 for the user's mistake, 4 for a state of the world.
    """
    try:
        return main()
    except Mistake as mistake:
        tell(*(f"{what}: {line}" for line in mistake.lines))
        return exits.USAGE
    except exits.CommandFailed as failed:
        tell(*f"{what}: {failed}".splitlines())
        return exits.FAILED
    except RuntimeError as failed:
        if not is_out_of_threads(failed):
            raise
        tell(f"{what}: {failed}: too little memory or too few processes (ulimit -v, -u)")
        return exits.FAILED


def tell(*lines: str) -> None:
    """Write lines for people to standard error: short, clean, and without passwords."""
    for line in lines:
        known = clean(masked(line))
        if len(known) > LINE_CHARACTERS:
            known = f"{known[: LINE_CHARACTERS // 2]} ... {known[-LINE_CHARACTERS // 2 :]}"
        with suppress(OSError):  # nobody reads it any more
            sys.stderr.write(f"{known}\n")

"""How the command reads what was typed: a mistake is one line, never a page."""

import argparse
import math
from collections.abc import Callable
from typing import NoReturn

from resonate_fleet.contract.settings import Kind, name, url


class Mistake(Exception):  # noqa: N818 - the user's, in one line
    """The command line was refused."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Mistake(f"{message} (`{self.prog} --help` says more)")


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        with _explained(text, f"a whole number from {low} to {high}"):
            value = int(text)
            if not low <= value <= high:
                raise ValueError
        return value

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """Return a reader of numbers from `low` to `high`."""

    def read(text: str) -> float:
        with _explained(text, f"a number from {low:g} to {high:g}"):
            value = float(text)
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError
        return value

    return read


def address(text: str) -> str:
    """Read the address of a server."""
    return _of_kind(url(), text)


def group(text: str) -> str:
    """Read the name of a group."""
    return _of_kind(name("group"), text)


def _of_kind[T](kind: Kind[T], text: str) -> T:
    with _explained(text, kind.accepts):
        return kind.read(text)


class _explained:  # noqa: N801 - reads as a word where it is used
    """Turns a ValueError into argparse's own, with what is accepted."""

    def __init__(self, text: str, accepts: str) -> None:
        self._says = f"{text!r}; accepted: {accepts}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, ValueError):
            raise argparse.ArgumentTypeError(self._says)

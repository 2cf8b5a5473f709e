"""Calls from a command line: arguments as JSON, from a file, or from standard input."""

import sys
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any, Final

import msgspec

from resonate_fleet.contract.jobs import Call
from resonate_fleet.contract.settings import Mistake

ARGUMENTS: Final = "a JSON array (positional) or object (by name), @FILE with one, - for stdin"


def call(function: str, arguments: str | None, version: int = 1) -> Call:
    """Return the call of `function` with `arguments` as typed; None means no arguments.

    Raises:
        Mistake: they are not a JSON array or object.
    """
    given = [] if arguments is None else _decoded(arguments)
    return of(function, given, version)


def of(function: str, given: list[Any] | dict[str, Any], version: int = 1) -> Call:
    """Return the call of `function` with arguments by position or by name."""
    if isinstance(given, dict):
        return Call(func=function, kwargs=given, version=version)
    return Call(func=function, args=given, version=version)


def _decoded(arguments: str) -> list[Any] | dict[str, Any]:
    try:
        given = msgspec.json.decode(utf8(_text(arguments)))
    except ValueError as error:
        raise Mistake(f"--args is {arguments!r}: {error}; accepted: {ARGUMENTS}") from None
    if not isinstance(given, list | dict):
        raise Mistake(f"--args is {arguments!r}; accepted: {ARGUMENTS}")
    return given


def utf8(raw: bytes) -> bytes:
    """Return text without the mark that some editors put before it.

    Raises:
        ValueError: it is empty, or in another encoding.
    """
    text = raw.removeprefix(BOM_UTF8)
    if not text.strip():
        raise ValueError("it is empty")
    try:
        text.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    return text


def _text(arguments: str) -> bytes:
    if arguments == "-":
        return sys.stdin.buffer.read()
    if not arguments.startswith("@"):
        return arguments.encode()
    try:
        return Path(arguments[1:]).read_bytes()
    except OSError as error:
        raise Mistake(f"--args is {arguments!r}: {error.strerror}; accepted: {ARGUMENTS}") from None

"""Checks values of users' code before they become JSON."""

import math
from typing import Any

import msgspec
from resonate.codec import enc_hook
from resonate.error import ResonateError


class UnwritableError(ResonateError):
    """A function gave a value that JSON cannot hold. It is final: a retry would give the same."""


def check_writable(value: Any, what: str) -> bytes:
    """Return a value as JSON, or refuse it here, so that the job is rejected.

    SDK 0.8.1 would release a job whose result it cannot encode, and it would run again and again.

    Raises:
        UnwritableError: with a sentence that begins with `what`.
    """
    try:
        encoded = msgspec.json.encode(value, enc_hook=enc_hook)
        if b"null" in encoded:  # what NaN and infinity would become
            _check_finite(msgspec.to_builtins(value, enc_hook=enc_hook), what)
        return encoded  # noqa: TRY300 - the hooks run above
    except UnwritableError:
        raise
    except Exception as error:  # noqa: BLE001 - the hooks of users' own types run here
        raise UnwritableError(f"{what} what JSON cannot hold: {error}") from None


def _check_finite(value: Any, what: str) -> None:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, float) and not math.isfinite(one):
            raise UnwritableError(f"{what} what JSON cannot hold: {one!r}")
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple | set | frozenset):
            waiting.extend(one)

"""What users' code returns and raises: checked, told in words, in a form that the wire carries."""

import math
import traceback
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec
import resonate
from resonate.codec import Codec, NoopEncryptor, enc_hook
from resonate.error import (
    ApplicationError,
    Base64DecodeError,
    DecodingError,
    FunctionNotFoundError,
    PlatformError,
    ResonateError,
    SerializationError,
)

import resonate_fleet

#: Characters that are kept of an error's text, and of a traceback.
TEXT, TRACEBACK = 16_384, 8_192
#: Bytes of an error on the wire, its pickled form included.
WIRE_BYTES = 262_144
#: Errors for which the SDK releases a job though every further attempt would fail the same way,
#: as where a body raises one of the SDK's signals by itself.
_NO_REMEDY = (Base64DecodeError, DecodingError, FunctionNotFoundError, SerializationError)
#: Frames of files in these folders are not the user's.
_MACHINERY = tuple(str(Path(one).parent) for one in (resonate.__file__, resonate_fleet.__file__))
_codec = Codec(NoopEncryptor())


class EscapedError(Exception):
    """A function raised what must not leave it: `SystemExit`, `StopIteration` and the like."""


class UnwritableError(ResonateError):
    """A function gave a value that JSON cannot hold. It is final: a retry would give the same."""


def cause_of(error: BaseException | None) -> BaseException | None:
    """Return what the SDK's signal `error` carries, or the error itself."""
    return error.cause if isinstance(error, PlatformError) else error


def lasting(error: BaseException | None) -> str:
    """Return the text of an error for which the SDK releases a job; "" where it may pass."""
    found = cause_of(error)
    final = isinstance(found, _NO_REMEDY) or not isinstance(found, ResonateError | None)
    return (str(found) or type(found).__name__) if final else ""


def check_writable(value: Any, what: str) -> bytes:
    """Return a value as JSON, or refuse it here, so that the job is rejected.

    SDK 0.8.1 would release a job whose result it cannot encode, and it would run again and again.

    Raises:
        UnwritableError: with a sentence that begins with `what`.
    """
    try:
        encoded = msgspec.json.encode(value, enc_hook=enc_hook)
        if b"null" in encoded:  # what NaN and infinity would become
            _check_finite(msgspec.to_builtins(value, enc_hook=enc_hook))
        return encoded  # noqa: TRY300 - the hooks run above
    except Exception as error:  # noqa: BLE001 - the hooks of users' own types run here
        raise UnwritableError(f"{what} what JSON cannot hold: {error}") from None


def _check_finite(value: Any) -> None:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, float) and not math.isfinite(one):
            raise ValueError(repr(one))
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple | set | frozenset):
            waiting.extend(one)


def unseen(second: BaseException) -> EscapedError:
    """Return the error for a value or an error whose own methods raise `second`."""
    name = type(second).__name__
    return EscapedError(f"what the function returned or raised cannot be looked at: {name}")


def text_of(error: BaseException) -> str:
    """Return type and text of an error, even if its `__str__` raises."""
    try:
        text = str(error)
    except BaseException as second:  # noqa: BLE001 - it is the user's code that runs here
        text = f"(its text cannot be had: {type(second).__name__})"
    return _short(f"{type(error).__name__}: {text}", TEXT)


def line_of(error: BaseException) -> str:
    """Return an error in one line: its type, its text, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_machinery(frame)] or frames
    where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{text_of(error)}{where}"


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error, from the user's first frame on."""
    whole = traceback.TracebackException.from_exception(error, compact=True)
    for found in _chain(whole):
        machinery = sum(1 for _ in takewhile(_is_machinery, found.stack))
        if machinery < len(found.stack):
            found.stack = traceback.StackSummary.from_list(found.stack[machinery:])
    return _short("".join(whole.format()), TRACEBACK)


def carriable(error: Exception) -> Exception:
    """Return `error`, or a plain one with its text where the wire cannot carry it.

    An error travels as its text and, if possible, pickled; whoever awaits the job unpickles it. An
    error that fails at either end, or is too large, would have the job claimed again and again.
    """
    try:
        value = _codec.encode(error)
        _codec.decode_error(value)
    except BaseException:  # noqa: BLE001 - it is the user's code that runs here
        return ApplicationError(text_of(error))
    return error if len(value.data or "") <= WIRE_BYTES else ApplicationError(text_of(error))


def forget_frames(error: BaseException) -> None:
    """Clear the frames of an error: they have ended, and hold values as long as the error lives.

    The SDK keeps the error in a cycle, which the garbage collector finds much later.
    """
    for found in _chain(error):
        traceback.clear_frames(found.__traceback__)


def _chain[Link: BaseException | traceback.TracebackException](first: Link) -> Iterator[Link]:
    """Yield an error and its causes, each once: causes may form a circle."""
    found, passed = first, set[int]()
    while found is not None and id(found) not in passed:
        passed.add(id(found))
        yield found
        found = found.__cause__ or found.__context__  # type: ignore[assignment]  # of the same kind


def _is_machinery(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith(_MACHINERY)


def _short(text: str, most: int) -> str:
    """Keep beginning and end of a long text, and replace what UTF-8 cannot hold: surrogates."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= most:
        return text
    head = most // 4
    return f"{text[:head]}\n... ({len(text) - most} characters) ...\n{text[head - most :]}"

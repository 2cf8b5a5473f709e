"""Makes jobs: calls as they are typed, and loads from settings and a seed."""

import random
import sys
import time
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from resonate_fleet.contract import words
from resonate_fleet.contract.calls import Call
from resonate_fleet.contract.envelope import read_json
from resonate_fleet.contract.settings import Mistake, integer, text
from resonate_fleet.submit.settings import ClientSettings

type Arguments = list[Any] | dict[str, Any]
ARGUMENTS: Final = "a JSON array (positional) or object (by name), @FILE with one, - for stdin"
VERSION: Final = "of the function; default: 1"
#: The ids of jobs that the server accepts. It takes the part before the first `:` for the origin
#: (v0.9.8, `src/types.rs`); a lone surrogate is no text.
ID: Final = text("1 to 512 characters without `:`", "[^:\0\ud800-\udfff]{1,512}")
PRIORITY: Final = integer(1, 5)
KEY: Final = text("up to 512 characters", "[^\0\ud800-\udfff]{0,512}")


@dataclass(frozen=True)
class Job:
    """A job to submit. `cost` in seconds, None if the caller gave the arguments.

    `group` and `timeout` (seconds): None means the settings'.
    """

    id: str
    call: Call
    cost: float | None = None
    group: str | None = None
    timeout: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Jobs(Protocol):
    """Jobs of a known number, to be iterated over as often as needed."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Job]: ...


# Calls.


def call(function: str, given: Arguments, version: int = 1) -> Call:
    """Return the call of `function` with arguments by position or by name."""
    if isinstance(given, dict):
        return Call(func=function, kwargs=given, version=version)
    return Call(func=function, args=given, version=version)


def arguments(typed: str | None) -> Arguments:
    """Return the arguments of a call as typed; None means none.

    Raises:
        Mistake: they are not a JSON array or object.
    """
    if typed is None:
        return []
    try:
        raw = sys.stdin.buffer.read() if typed == "-" else typed.encode()
        if typed.startswith("@"):
            raw = Path(typed[1:]).read_bytes()
        given: Arguments = read_json(utf8(raw), list[Any] | dict[str, Any])
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Mistake(f"--args is {typed!r}: {why}; accepted: {ARGUMENTS}") from None
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


# Attributes.


def policy_tags(
    priority: int | None, key: str | None, later: float | None, now: Callable[[], float] = time.time
) -> dict[str, str]:
    """Return the tags of a job's attributes for a group with a policy (docs/policy.md).

    `later`: the job's not-before, in seconds from now.
    """
    at = None if later is None else f"{now() + later:.3f}"
    given = {words.TAG_PRIORITY: priority, words.TAG_KEY: key, words.TAG_NOT_BEFORE: at}
    return {tag: str(value) for tag, value in given.items() if value is not None}


def late(later: float | None, timeout: float) -> str:
    """Return what is wrong with a not-before and a timeout (seconds from now), or nothing."""
    if later is None or later < timeout:
        return ""
    return f"not-before is {later:g} s, its timeout {timeout:g} s; accepted: a longer timeout"


# Loads.


def make(
    settings: ClientSettings,
    ids: Sequence[str],
    given: Arguments | None,
    new_id: Callable[[], str],
) -> list[Job]:
    """Return the load: one job for each of `ids`, or `settings.count` jobs with new ids.

    The same seed makes the same costs. `given` stands in place of the usual arguments.
    """
    chance, (low, high) = random.Random(settings.seed), settings.cost
    ids = list(ids) or new_ids(settings.id_prefix, settings.count, new_id)
    made: dict[str, Job] = {}
    for id_ in dict.fromkeys(ids):
        cost = round(low + (high - low) * chance.random(), 3)
        # A user's function gets id and cost, as those of the example do.
        steps = [settings.steps] if settings.function == words.COMPUTE_IN_STEPS else []
        usual = [id_, cost, *steps]
        made_call = call(settings.function, usual if given is None else given)
        made[id_] = Job(id_, made_call, cost if given is None else None)
    keys = (key for key, number in settings.keys.items() for _ in range(number))
    for id_, key in zip(list(made), keys, strict=False):
        made[id_] = replace(made[id_], tags={words.TAG_KEY: key})
    return [made[id_] for id_ in ids]  # an id given twice is sent twice, with the same call


def new_ids(prefix: str, count: int, new_id: Callable[[], str]) -> list[str]:
    """Return the ids of a load; after a prefix without a dash at its end they are numbered."""
    if prefix and not prefix.endswith("-"):
        return [f"{prefix}-{n:05d}" for n in range(1, count + 1)]
    return [beginning(prefix) + new_id() for _ in range(count)]


def beginning(prefix: str) -> str:
    """Return what ids begin with where the job is not part of a load: the prefix and one dash."""
    return f"{prefix.removesuffix('-')}-" if prefix else ""

"""Makes jobs from settings and a seed. Pure: the same input makes the same load."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from resonate_fleet.contract import words
from resonate_fleet.contract.jobs import Call
from resonate_fleet.contract.settings import Kind, integer
from resonate_fleet.submit.settings import ClientSettings


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


PRIORITY: Final = integer(1, 5)


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


def make(
    settings: ClientSettings,
    ids: Sequence[str],
    args: list[Any] | None,
    new_id: Callable[[], str],
) -> list[Job]:
    """Return the load: one job for each of `ids`, or `settings.count` jobs with new ids.

    `args` replaces the usual arguments of the function.
    """
    chance = random.Random(settings.seed)
    given = list(ids) or new_ids(settings.id_prefix, settings.count, new_id)
    made: dict[str, Job] = {}
    for id_ in dict.fromkeys(given):
        made[id_] = _job(id_, settings, _cost(chance, settings), args)
    if settings.keys:
        keys = (key for key, number in settings.keys.items() for _ in range(number))
        for id_, key in zip(made, keys, strict=False):
            made[id_] = replace(made[id_], tags={words.TAG_KEY: key})
    return [made[id_] for id_ in given]  # an id given twice is sent twice, with the same call


def new_ids(prefix: str, count: int, new_id: Callable[[], str]) -> list[str]:
    """Return the ids of a load; after a prefix without a dash at its end they are numbered."""
    if prefix and not prefix.endswith("-"):
        return [f"{prefix}-{n:05d}" for n in range(1, count + 1)]
    return [beginning(prefix) + new_id() for _ in range(count)]


def beginning(prefix: str) -> str:
    """Return what stands before an id of a job that is no load's: the prefix and one dash."""
    return f"{prefix.removesuffix('-')}-" if prefix else ""


def _cost(chance: random.Random, settings: ClientSettings) -> float:
    low, high = settings.cost
    return round(low + (high - low) * chance.random(), 3)


def _job(id_: str, settings: ClientSettings, cost: float, args: list[Any] | None) -> Job:
    if args is not None:
        return Job(id_, Call(func=settings.function, args=args), None)
    # A user's function gets id and cost, as those of the example do.
    steps = [settings.steps] if settings.function == words.COMPUTE_IN_STEPS else []
    return Job(id_, Call(func=settings.function, args=[id_, cost, *steps]), cost)


def _id(raw: str) -> str:
    """Read the id of a job.

    The server takes the part before the first `:` for the origin (v0.9.8, `src/types.rs`), so a
    job's id has none. It is not empty and has no zero character.
    """
    if not raw or len(raw) > 512 or ":" in raw or "\0" in raw:
        raise ValueError
    raw.encode()  # a lone surrogate is no text
    return raw


#: The ids of jobs that the server accepts.
ID: Final = Kind(_id, "1 to 512 characters without `:`")


def bad_ids(ids: Sequence[str]) -> list[str]:
    """Return a line for each id that the server would refuse."""
    lines = []
    for id_ in ids:
        try:
            ID.read(id_)
        except ValueError:
            lines.append(f"--id is {id_!r}; accepted: {ID.accepts}")
    return lines

"""Jobs in hand, as commands reach them: by the steward if one answers, else by the server."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from resonate_fleet.commands.addresses import Addresses
from resonate_fleet.contract.jobviews import JobLine, JobList, JobPage, line_of
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.wire import Wire
from resonate_fleet.steward import jobs

#: Longest wait for one answer of the steward, in seconds.
STEWARD_SECONDS: Final = 5.0
#: States of promises by the states of jobs; those that live are all `pending`.
_SEARCHED: Final = {
    "done": "resolved",
    "failed": "rejected",
    "cancelled": "rejected_canceled",
    "timed-out": "rejected_timedout",
}


def from_steward(where: Addresses, path: str) -> bytes | None:
    """Return what the steward answers; None where none does.

    Raises:
        Mistake: the steward refuses what was asked.
    """
    if where.steward_url is None:
        return None
    return _answer(urllib.request.Request(f"{where.steward_url}/{path}"))  # noqa: S310 - http or https: the setting's kind


def tell_settled(where: Addresses, ids: list[str]) -> list[str] | None:
    """Have the steward stop what the server has as ended; return what was stopped.

    None where no steward answers.
    """
    if where.steward_url is None:
        return None
    request = urllib.request.Request(  # noqa: S310 - http or https: the setting's kind
        f"{where.steward_url}/settled",
        data=json.dumps({"jobs": ids}).encode(),
        headers={"Content-Type": "application/json"},
    )
    answer = _answer(request)
    return None if answer is None else list(json.loads(answer)["stopped"])


def _answer(request: urllib.request.Request) -> bytes | None:
    try:
        with urllib.request.urlopen(request, timeout=STEWARD_SECONDS) as answer:  # noqa: S310 - the same
            return bytes(answer.read())
    except urllib.error.HTTPError as refused:
        why = _why(refused.read())
        if refused.code in {400, 404} and why:
            raise Mistake(why) from None
        return None
    except (OSError, HTTPException):
        return None


def _why(body: bytes) -> str:
    """Return the steward's own words; nothing where the answer is another program's."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return ""


def listed(where: Addresses, given: Mapping[str, str]) -> JobList | None:
    """Return the jobs that the steward knows; None where none answers."""
    answer = from_steward(where, f"jobs?{urlencode(given)}")
    return None if answer is None else msgspec.json.decode(answer, type=JobList)


def page_of(where: Addresses, id: str) -> JobPage | None:
    answer = from_steward(where, f"job/{quote(id, safe='')}")
    return None if answer is None else msgspec.json.decode(answer, type=JobPage)


async def searched(wire: Wire, given: Mapping[str, str], since: float) -> JobList:
    """Return jobs by searching the store; `since` is Unix seconds. Progress goes to stderr.

    Raises:
        Unreachable, Refused.
    """
    limit = int(given["limit"])
    state = given.get("state")
    states = (_SEARCHED.get(state, "pending"),) if state else (None,)
    found: list[JobLine] = []
    async for promise in jobs.search(wire, states, _progress):
        line = line_of(promise)
        if not _fits(line, given, since):
            continue
        if line.ended is None:
            line = line_of(promise, await wire.task(promise.id))
            if state and line.state != state:
                continue
        found.append(line)
        if len(found) > limit:
            break
    sys.stderr.write("\n" if sys.stderr.isatty() else "")
    return JobList(jobs=found[:limit], more=len(found) > limit)


def _progress(read: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\rsearching the store: {read} promises read")
        sys.stderr.flush()


def _fits(line: JobLine, given: Mapping[str, str], since: float) -> bool:
    wanted = {name: given[name] for name in ("function", "group", "member") if name in given}
    if any(getattr(line, name) != value for name, value in wanted.items()):
        return False
    if (line.ended or line.created or 0.0) < since:
        return False
    return given.get("search", "") in line.id


def without_repeats(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))

"""What the console asks about jobs: lists, and the page of one job."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from resonate_fleet.contract import jobacts
from resonate_fleet.contract.calls import call_of
from resonate_fleet.contract.envelope import Value
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import AttemptLine, JobLine, JobList, JobPage, JobState, matches
from resonate_fleet.contract.live import LiveAttempt
from resonate_fleet.contract.wire import part
from resonate_fleet.steward.console import Ask, Refusal
from resonate_fleet.steward.dispatch import Dispatch
from resonate_fleet.steward.policy import notes
from resonate_fleet.steward.survey import ABREAST
from resonate_fleet.steward.tools import Tools

#: Lines of a list: by default, and at most.
USUAL, MOST = 200, 5000
#: Promises that are read for one list, and schedules that are shown.
MOST_READ = 1000

_ENDED: dict[str, JobState] = {"resolved": "done", "rejected": "failed", "cancelled": "cancelled"}


class Lists:
    """Everything is to be called on the event loop. `payloads`: show arguments and results."""

    def __init__(self, tools: Tools, dispatch: Dispatch, *, payloads: bool) -> None:
        self._tools = tools
        self._dispatch = dispatch
        self._payloads = payloads
        #: Functions of waiting jobs, as far as a list asked for them.
        self._called: dict[str, str] = {}

    def asks(self) -> dict[str, Ask]:
        return {"jobs": self.listing, r"job/{id:[\s\S]+}": self.page, "schedules": self.schedules}

    async def listing(self, given: Mapping[str, str]) -> JobList:
        """Return the matching jobs, live ones first, then the latest to end. Searches nothing."""
        limit = _number(given.get("limit", ""), USUAL, MOST)
        since = _number(given.get("since", ""), 0, 1 << 32)
        after, unread = self._tools.now() - since if since else 0.0, 0
        others = {name: value for name, value in given.items() if name != "function"}
        found = [one for one in self._lines() if matches(one, others, after)]
        if given.get("function"):
            found, unread = await self._read(found)
            found = [one for one in found if matches(one, given, after)]
        # Live ones first, then those that ended last.
        found.sort(key=lambda one: (one.ended is not None, -(one.at or 0.0)))
        more = len(found) > limit
        return JobList(jobs=found[:limit], at=self._tools.now(), more=more, unread=unread)

    async def _read(self, lines: list[JobLine]) -> tuple[list[JobLine], int]:
        """Fill in the functions that are not known; return also how many stay unread."""
        unknown = [one.id for one in lines if not one.function]
        self._called = {name: self._called[name] for name in unknown if name in self._called}
        gate = asyncio.Semaphore(ABREAST)

        async def read(name: str) -> None:
            async with gate:
                promise = await self._tools.wire.promise(name)
            call = call_of(promise) if promise else None
            self._called[name] = call.label if call else ""

        new = [name for name in unknown if name not in self._called]
        await asyncio.gather(*(read(name) for name in new[:MOST_READ]))
        replace = msgspec.structs.replace
        named = [replace(o, function=o.function or self._called.get(o.id, "")) for o in lines]
        return named, len(new[MOST_READ:])

    def _lines(self) -> Iterable[JobLine]:
        work, now = self._tools.work, self._tools.now()
        shown: dict[str, JobLine] = {}
        for ended in work.ended:
            if ended.outcome in _ENDED and ended.task == ended.job:
                shown[ended.job] = _line(ended, _ENDED[ended.outcome])
        for name, group in self._dispatch.groups.items():
            for one in group.matcher.queue.waiting.values():
                why = group.matcher.why(now, one.task)
                shown[one.task] = JobLine(
                    id=one.task, state="waiting", group=name, created=one.since, reason=why
                )
        for task, (name, since) in work.suspended.items():
            shown[task] = JobLine(id=task, state="sleeping", group=name, created=since)
        for stopped in work.parked.values():
            shown[stopped.task] = JobLine(
                id=stopped.task, state="parked", group=stopped.group, attempt=stopped.attempt
            )
        for running in work.running.values():
            if running.task == running.job:  # what a child holds is not its job's
                shown[running.task] = _line(running, "running")
        return [line for line in shown.values() if root_of(line.id) == line.id]

    # A page.

    async def page(self, given: Mapping[str, str]) -> JobPage:
        job = given["id"]
        try:
            found = await jobacts.page(self._tools.wire, job, payloads=self._payloads)
        except jobacts.NoSuchJob as none:
            raise Refusal(404, str(none)) from None
        work = self._tools.work
        known = [one for one in [*work.ended, *work.running.values()] if one.task == job]
        attempts = [
            AttemptLine(
                attempt=one.shown,
                member=one.member,
                since=one.since,
                ended=one.ended,
                outcome=one.outcome,
            )
            for one in known
        ]
        group = self._dispatch.groups.get(found.group)
        why = group.matcher.why(self._tools.now(), job) if group else ""
        if not why and found.state == "waiting" and found.group:
            taken = group is not None and group.present
            why = "all slots are taken" if taken else "no member of its group is present"
        has_policy = self._dispatch.promises.has_policy(found.group)
        said = notes(found.tags, found.timeout or 0.0, has_policy=has_policy)
        return msgspec.structs.replace(found, attempts=attempts, reason=why, notes=said)

    async def schedules(self, _given: Mapping[str, str]) -> Any:
        """Return the server's schedules, as the page shows them."""
        reply = await self._tools.wire.call("schedule.search", {"limit": MOST_READ})
        found = part(self._tools.wire.url, reply, "schedules", list[dict[str, Any]])
        return {"schedules": [_schedule(one) for one in found]}


def _schedule(one: dict[str, Any]) -> dict[str, Any]:
    value = msgspec.convert(one.get("promiseParam") or {}, Value)
    try:
        call = value.decoded()
    except ValueError:
        call = None
    return {
        "id": one["id"],
        "cron": one["cron"],
        "function": call.get("func", "") if isinstance(call, dict) else "",
        "next": one["nextRunAt"] / 1000 if one.get("nextRunAt") else None,
        "last": one["lastRunAt"] / 1000 if one.get("lastRunAt") else None,
    }


def _number(raw: str, usual: int, most: int) -> int:
    if raw and not (raw.isdecimal() and int(raw) <= most):
        raise Refusal(400, f"{raw[:50]!r} is no number; accepted: 0 to {most}")
    return int(raw) if raw else usual


def _line(one: LiveAttempt, state: JobState) -> JobLine:
    return JobLine(
        id=one.job,
        state=state,
        function=one.function,
        group=one.group,
        member=one.member,
        attempt=one.shown,
        created=one.created or one.since,
        ended=one.ended,
    )

"""What the console asks about jobs: lists, and the page of one job."""

import asyncio
from collections.abc import Iterator, Mapping
from itertools import batched, chain
from typing import Any

import msgspec

from resonate_fleet.contract import jobacts
from resonate_fleet.contract.calls import call_of
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.jobs import AttemptLine, JobLine, JobList, JobPage, JobState, matches
from resonate_fleet.contract.live import LiveAttempt
from resonate_fleet.contract.schedules import all_schedules
from resonate_fleet.steward.console import Ask, Refusal
from resonate_fleet.steward.dispatch import Dispatch
from resonate_fleet.steward.policy import notes
from resonate_fleet.steward.survey import ABREAST
from resonate_fleet.steward.tools import Tools

#: Lines of a list: by default, and at most.
USUAL, MOST = 200, 5000
#: Promises that are read for one list.
MOST_READ = 1000
#: Jobs that are looked at in one go. A list of very many would keep the matcher waiting.
AT_ONCE = 500

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
        after = self._tools.now() - since if given.get("since") else 0.0
        function = given.get("function", "")
        others = {name: value for name, value in given.items() if name != "function"}
        found, unknown = list[JobLine](), list[JobLine]()
        for lines in batched(self._lines(), AT_ONCE):
            matching = [one for one in lines if matches(one, others, after)]
            if function:
                unknown += [one for one in matching if not one.function]
                matching = [one for one in matching if one.function == function]
            found = sorted(found + matching, key=_place)[: limit + 1]
            await asyncio.sleep(0)  # it is the matcher's turn
        named, unread = await self._read(unknown, function)
        found = sorted(found + named, key=_place)
        shown = [self._with_reason(one) for one in found[:limit]]
        return JobList(
            jobs=shown,
            at=self._tools.now(),
            more=len(found) > limit,
            unread=unread,
            complete=self._dispatch.is_complete,
        )

    async def _read(self, lines: list[JobLine], function: str) -> tuple[list[JobLine], int]:
        """Return those lines that are of the function; also how many stay unread."""
        self._called = {o.id: self._called[o.id] for o in lines if o.id in self._called}
        gate = asyncio.Semaphore(ABREAST)

        async def read(name: str) -> None:
            async with gate:
                promise = await self._tools.wire.promise(name)
            call = call_of(promise) if promise else None
            self._called[name] = call.label if call else ""

        new = [one.id for one in lines if one.id not in self._called]
        await asyncio.gather(*(read(name) for name in new[:MOST_READ]))
        mine = [one for one in lines if self._called.get(one.id) == function]
        named = [msgspec.structs.replace(one, function=function) for one in mine]
        return named, len(new[MOST_READ:])

    def _lines(self) -> Iterator[JobLine]:
        """Yield a line for each job as it is when the first is asked for, without its reason."""
        attempts, groups = self._tools.attempts, self._dispatch.groups.items()
        waiting = {name: [*group.matcher.queue.waiting.values()] for name, group in groups}
        every = chain(
            # What a child holds is not its job's.
            (_line(one, "running") for one in [*attempts.running.values()] if one.task == one.job),
            (
                JobLine(id=one.task, state="parked", group=one.group, attempt=one.attempt)
                for one in [*attempts.parked.values()]
            ),
            (
                JobLine(id=task, state="sleeping", group=name, created=since)
                for task, (name, since) in [*attempts.suspended.items()]
            ),
            (
                JobLine(
                    id=one.task, state="waiting", function=one.needs, group=name, created=one.since
                )
                for name, found in waiting.items()
                for one in found
            ),
            (
                _line(one, _ENDED[one.outcome])
                for one in [*attempts.ended][::-1]
                if one.outcome in _ENDED and one.task == one.job
            ),
        )
        shown = set[str]()
        for line in every:
            if line.id not in shown and root_of(line.id) == line.id:
                shown.add(line.id)
                yield line

    def _with_reason(self, line: JobLine) -> JobLine:
        group = self._dispatch.groups.get(line.group)
        if group is None or line.state != "waiting":
            return line
        return msgspec.structs.replace(line, reason=group.matcher.why(self._tools.now(), line.id))

    # A page.

    async def page(self, given: Mapping[str, str]) -> JobPage:
        job = given["id"]
        try:
            found = await jobacts.page(self._tools.wire, job, payloads=self._payloads)
        except jobacts.NoSuchJob as none:
            raise Refusal(404, str(none)) from None
        every = self._tools.attempts
        known = [one for one in [*every.ended, *every.running.values()] if one.task == job]
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
        found = [
            {"id": one.id, "cron": one.cron, "function": one.call.label, **one.times}
            async for one in all_schedules(self._tools.wire)
        ]
        return {"schedules": found}


def _number(raw: str, usual: int, most: int) -> int:
    if raw and not (raw.isdecimal() and int(raw) <= most):
        raise Refusal(400, f"{raw[:50]!r} is no number; accepted: 0 to {most}")
    return int(raw) if raw else usual


def _place(line: JobLine) -> tuple[bool, float]:
    """Return what a list is sorted by: live jobs first, then those that ended last."""
    return line.ended is not None, -(line.at or 0.0)


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

"""The live state, taken from what the steward knows, and what event streams get of it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from resonate_fleet.contract.live import LiveChange, LiveGroup, LiveMember, LiveState
from resonate_fleet.steward.attempts import Totals
from resonate_fleet.steward.dispatch import Dispatch
from resonate_fleet.steward.matcher import Matcher
from resonate_fleet.steward.membership import Membership
from resonate_fleet.steward.presence import Identity
from resonate_fleet.steward.tools import Tools

#: Most ended attempts, and most marks, of one message. The counts of groups are always complete.
MOST = 500


def live_state(me: Identity, tools: Tools, membership: Membership, dispatch: Dispatch) -> LiveState:
    """Return the state as it is now. To be called on the event loop."""
    attempts, held = tools.attempts, Counter(one.member for one in tools.attempts.running.values())
    members = [_member(one, dispatch, tools, held[one.member]) for one in membership.all()]
    return LiveState(
        at=tools.now(),
        steward=me.name,
        since=me.since,
        serving=any(group.serving.is_set() for group in dispatch.groups.values()),
        complete=dispatch.is_complete,
        searched=dispatch.survey_loop.at,
        as_of=tools.now() if dispatch.listens else dispatch.surveyor.seen["pending"].at,
        groups=_groups(members, dispatch, tools),
        members=members,
        running=list(attempts.running.values()),
        ended=list(attempts.ended),
        parked=list(attempts.parked.values()),
        marks=list(attempts.marks),
    )


def _member(one: LiveMember, dispatch: Dispatch, tools: Tools, held: int) -> LiveMember:
    totals = tools.attempts.member_totals.get(one.member, Totals())
    free = one.slots - held if one.state == "present" else 0
    group = dispatch.groups.get(one.group)
    offered = group.matcher.credits_of(one.member) if group else 0
    return replace(
        one,
        free=max(0, free, offered),
        done=totals.done,
        failed=totals.failed,
        busy=totals.busy,
    )


def _groups(members: list[LiveMember], dispatch: Dispatch, tools: Tools) -> list[LiveGroup]:
    attempts, present = tools.attempts, [one for one in members if one.state == "present"]
    slots = Counter[str]()
    for one in present:
        slots[one.group] += one.slots
    counts = {
        "members": Counter(one.group for one in present),
        "slots": slots,
        "running": Counter(one.group for one in attempts.running.values()),
        "suspended": Counter(group for group, _ in attempts.suspended.values()),
        "parked": Counter(one.group for one in attempts.parked.values()),
    }
    names = {*dispatch.groups, *attempts.group_totals}.union(*counts.values())
    return [
        replace(
            _group(name, dispatch, tools),
            **{field: counted[name] for field, counted in counts.items()},
        )
        for name in sorted(names)
    ]


def _group(name: str, dispatch: Dispatch, tools: Tools) -> LiveGroup:
    """Return what waits in a group, and what has ended."""
    group, totals = dispatch.groups.get(name), tools.attempts.group_totals.get(name, Totals())
    matcher = group.matcher if group else Matcher()
    blocked, stuck = matcher.blocked(tools.now()), matcher.stuck()
    return LiveGroup(
        group=name,
        waiting=len(matcher),
        oldest=matcher.oldest(),
        limited=sum(count for why, count in blocked.items() if why not in stuck),
        done=totals.done,
        failed=totals.failed,
        redone=totals.redone,
        blocked=blocked,
        stuck=stuck,
    )


class Feed:
    """Makes the messages of an event stream. `take` returns the present state."""

    def __init__(self, take: Callable[[], LiveState], extras: dict[str, Any]) -> None:
        self._take = take
        self._extras = extras
        self._last = LiveState(at=0.0, steward="", since=0.0)

    def whole(self) -> bytes:
        """Return the first message of a stream: the state of the last `change`."""
        return _event("state", {**msgspec.to_builtins(self._last), **self._extras})

    def change(self) -> bytes:
        """Return what is new since the last call."""
        before, self._last = self._last, self._take()
        return _event("change", news(before, self._last))


def news(before: LiveState, now: LiveState) -> LiveChange:
    """Return the parts of `now` that `before` does not have."""
    ended = _changed(before.ended, now.ended, lambda one: (one.task, one.attempt))
    marks = _changed(before.marks, now.marks, lambda one: (one.at, one.kind, one.member, one.job))
    return LiveChange(
        at=now.at,
        serving=now.serving,
        complete=now.complete,
        as_of=now.as_of,
        groups=_changed(before.groups, now.groups, lambda one: one.group),
        members=_changed(before.members, now.members, lambda one: one.member),
        running=_changed(before.running, now.running, lambda one: one.task),
        ended=ended[-MOST:],
        marks=marks[-MOST:],
        parked=now.parked if now.parked != before.parked else None,
    )


def _changed[T](before: list[T], now: list[T], key: Callable[[T], Any]) -> list[T]:
    """Return the items of `now` that are new or have changed."""
    old = {key(one): one for one in before}
    return [one for one in now if old.get(key(one)) != one]


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"

"""The live state, taken from what the steward knows."""

from collections import Counter, defaultdict
from typing import NamedTuple

import msgspec

from resonate_fleet.contract.live import LiveGroup, LiveMember, LiveState
from resonate_fleet.steward.dispatch import Dispatch
from resonate_fleet.steward.membership import Membership
from resonate_fleet.steward.presence import Identity
from resonate_fleet.steward.tools import Tools
from resonate_fleet.steward.work import Totals, Work


class Dates(NamedTuple):
    """When the last survey and the last search of what waits began, Unix seconds."""

    survey: float | None
    search: float


def live_state(
    me: Identity,
    tools: Tools,
    membership: Membership,
    dispatch: Dispatch,
    dates: Dates,
) -> LiveState:
    """Return the state as it is now."""
    work, held = tools.work, tools.work.holders()
    members = [_member(one, dispatch, work, held.get(one.member, 0)) for one in membership.all()]
    return LiveState(
        at=tools.now(),
        steward=me.name,
        since=me.since,
        serving=any(group.serving.is_set() for group in dispatch.groups.values()),
        complete=dispatch.is_complete(dates.survey),
        searched=dates.survey,
        as_of=tools.now() if dispatch.listens else dates.search,
        groups=_groups(members, dispatch, tools),
        members=members,
        running=list(work.running.values()),
        ended=list(work.ended),
        parked=list(work.parked.values()),
        marks=list(work.marks),
    )


def _member(one: LiveMember, dispatch: Dispatch, work: Work, held: int) -> LiveMember:
    totals = work.tally.members.get(one.member, Totals())
    free = one.slots - held if one.state == "present" else 0
    group = dispatch.groups.get(one.group)
    offered = group.matcher.credits_of(one.member) if group else 0
    return msgspec.structs.replace(
        one,
        free=max(0, free, offered),
        done=totals.done,
        failed=totals.failed,
        busy=totals.busy,
    )


def _groups(members: list[LiveMember], dispatch: Dispatch, tools: Tools) -> list[LiveGroup]:
    work = tools.work
    slots: defaultdict[str, list[int]] = defaultdict(list)
    for one in members:
        if one.state == "present":
            slots[one.group].append(one.slots)
    running = Counter(one.group for one in work.running.values())
    suspended = Counter(group for group, _ in work.suspended.values())
    parked = Counter(one.group for one in work.parked.values())
    names = {*dispatch.groups, *slots, *running, *suspended, *parked, *work.tally.groups}
    found = []
    for name in sorted(names):
        group = dispatch.groups.get(name)
        totals = work.tally.groups.get(name, Totals())
        found.append(
            LiveGroup(
                group=name,
                members=len(slots[name]),
                slots=sum(slots[name]),
                waiting=len(group.matcher) if group else 0,
                oldest=group.matcher.oldest() if group else None,
                running=running[name],
                limited=sum(group.matcher.queue.limited(tools.now()).values()) if group else 0,
                suspended=suspended[name],
                parked=parked[name],
                done=totals.done,
                failed=totals.failed,
                redone=totals.redone,
                blocked=group.matcher.blocked(tools.now()) if group else {},
                stuck=group.matcher.stuck() if group else {},
            )
        )
    return found

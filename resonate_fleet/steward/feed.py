"""The messages of an event stream: what is new in the live state since the last one."""

from collections.abc import Callable
from typing import Any

import msgspec

from resonate_fleet.contract.live import LiveChange, LiveState

#: Most ended attempts, and most marks, of one message. The counts of groups are always complete.
MOST = 500


class Feed:
    """Makes messages of states. `take` returns the present state."""

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

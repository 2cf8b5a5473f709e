"""What is new in the live state since it was last told: the messages of an event stream."""

from collections.abc import Callable
from typing import Any

import msgspec

from resonate_fleet.contract.live import LiveChange, LiveState

#: Ended attempts and marks of one message, at most; counts come with the groups and are whole.
MOST = 500


class Feed:
    """Turns states into messages. `take` returns the state as it is; `whole` begins a stream."""

    def __init__(self, take: Callable[[], LiveState], extras: dict[str, Any]) -> None:
        self._take = take
        self._extras = extras
        self._last = LiveState(at=0.0, steward="", since=0.0)

    def whole(self) -> bytes:
        """Return the state that `change` goes on from."""
        return _event("state", {**msgspec.to_builtins(self._last), **self._extras})

    def change(self) -> bytes:
        """Return what is new, and take that for told."""
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
    """Return what stands in `now` alone, or as something else there."""
    old = {key(one): one for one in before}
    return [one for one in now if old.get(key(one)) != one]


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"

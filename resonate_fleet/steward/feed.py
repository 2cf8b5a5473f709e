"""What is new in the live state since it was last told: the messages of an event stream."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from resonate_fleet.contract.live import LiveAttempt, LiveChange, LiveState

#: Ended attempts and marks of one message, at most; counts come with the groups and are whole.
MOST = 500


class Feed:
    """Turns states into messages. `take` returns the state as it is; `whole` begins a stream."""

    def __init__(self, take: Callable[[], LiveState], extras: dict[str, Any]) -> None:
        self._take = take
        self._extras = extras
        self._last = take()

    def whole(self) -> bytes:
        """Return the state that `change` goes on from."""
        return _event("state", {**msgspec.to_builtins(self._last), **self._extras})

    def change(self) -> bytes:
        """Return what is new, and take that for told."""
        before, self._last = self._last, self._take()
        return _event("change", news(before, self._last))


def news(before: LiveState, now: LiveState) -> LiveChange:
    """Return the parts of `now` that `before` does not have."""
    return LiveChange(
        at=now.at,
        serving=now.serving,
        complete=now.complete,
        groups=_new(before.groups, now.groups),
        members=_new(before.members, now.members),
        running=_new(before.running, now.running),
        ended=_unknown(before.ended, now.ended)[-MOST:],
        marks=_new(before.marks[-MOST:], now.marks[-MOST:]),
        parked=now.parked if now.parked != before.parked else None,
    )


def _new[T](before: Iterable[T], now: Iterable[T]) -> list[T]:
    """Return what stands in `now` alone. What has not changed is mostly the same object."""
    same = {id(one) for one in before}
    fresh = [one for one in now if id(one) not in same]
    known = list(before) if fresh else []
    return [one for one in fresh if one not in known] if len(known) < MOST else fresh


def _unknown(before: list[LiveAttempt], now: list[LiveAttempt]) -> list[LiveAttempt]:
    known = {(one.task, one.attempt) for one in before}
    return [one for one in now if (one.task, one.attempt) not in known]


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"

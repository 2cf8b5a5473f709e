"""Hints that their members cannot use, for members that have nothing to do.

The server sends a job's hint to one member of the group at random. Where that one is busy and
others are idle, the job would wait for the next look of one of them, up to a second and a half.
"""

from collections import deque
from typing import Protocol

from resonate_fleet.contract.presence import FromMember, Hello, Hint, Idle

#: A hint that nobody could use is kept this long, in seconds: a member that becomes idle may have
#: looked a moment before the job was there.
KEPT = 0.1
#: Hints of a group that are kept at a time; the oldest go first.
MOST_KEPT = 64


class Greeted(Protocol):
    """A member that has said hello."""

    @property
    def hello(self) -> Hello: ...


class Exchange[Seat: Greeted]:
    """Pairs hints with idle members of the group, whoever has been idle for longest first."""

    def __init__(self) -> None:
        self._idle: dict[str, dict[str, Seat]] = {}
        self._hints: dict[str, deque[tuple[float, Hint]]] = {}

    def heard(self, now: float, seat: Seat, message: FromMember) -> tuple[Seat, Hint] | None:
        """Take what a member says; return who is to be handed which hint, if there is such.

        `now`: seconds of any one clock.
        """
        group = seat.hello.group
        self.left(seat)
        if isinstance(message, Hint):
            return self._place(now, group, message)
        if isinstance(message, Idle):
            hint = self._kept(now, group)
            if hint is not None:
                return seat, hint
            self._idle.setdefault(group, {})[seat.hello.member] = seat
        return None

    def left(self, seat: Seat) -> None:
        """Note that a member is gone, or busy."""
        idle = self._idle.get(seat.hello.group, {})
        if idle.get(seat.hello.member) is seat:
            del idle[seat.hello.member]
            if not idle:
                del self._idle[seat.hello.group]

    def _place(self, now: float, group: str, hint: Hint) -> tuple[Seat, Hint] | None:
        idle = self._idle.get(group)
        if not idle:
            self._hints.setdefault(group, deque(maxlen=MOST_KEPT)).append((now, hint))
            return None
        seat = next(iter(idle.values()))
        self.left(seat)
        return seat, hint

    def _kept(self, now: float, group: str) -> Hint | None:
        """Return the oldest hint that is young enough still."""
        hints = self._hints.get(group)
        while hints:
            since, hint = hints.popleft()
            if now - since <= KEPT:
                return hint
        self._hints.pop(group, None)
        return None

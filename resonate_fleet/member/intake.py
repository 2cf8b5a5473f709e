"""The intake: which tasks this member claims.

With a steward it claims what it is assigned, one task for each slot that it has offered. Without
any, its fallback finds work (`member.fallback`). A task that the server sends to this member alone
is claimed in either case, if a slot is free.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from resonate_fleet.contract.stream import Stream, read_hint
from resonate_fleet.contract.words import anycast

if TYPE_CHECKING:
    from resonate_fleet.member.fallback import Fallback
    from resonate_fleet.member.presence import Reporter

#: In the fallback a task that this member gave up is left alone for so many seconds: first where
#: the function cannot begin here, then for other reasons, which end the job after a few attempts.
AVOID_SECONDS, AGAIN_SECONDS = 10.0, 1.0


@dataclass(slots=True)
class _Taken:
    """A task of which the SDK has a hint, with the hint's version."""

    version: int
    #: It was assigned, and its claim is not decided yet.
    unanswered: bool = False
    #: The version at which it was assigned again before its last claim had ended here.
    again: int | None = None


class Intake:
    """The SDK's `Source`: it gets no more hints than there are free slots.

    A hint that the SDK gets takes a slot. The slot is free when the body is over (`ending`) or the
    SDK's task for the hint has ended (`done`), whichever comes first. What the server sends to this
    member alone comes by `stream`: the member's name is a group with this one member, so that no
    hint for any member of a group comes there. To be called on the event loop.
    """

    def __init__(self, slots: int, member: str, stream: Stream) -> None:
        self._slots = slots
        self._member = member
        self._stream = stream
        self._listening: asyncio.Task[None] | None = None
        self._deliver: Callable[[str], None] = lambda _: None
        self._taken: dict[str, _Taken] = {}
        #: Those of them whose body is over.
        self._ending: set[str] = set()
        self._offered = 0
        self._closed = False

    def join(self, steward: "Reporter", fallback: "Fallback") -> None:
        """Set the two sources of work. To be called once, before anything else."""
        self._steward = steward
        self._fallback = fallback

    # As the SDK's source.

    def unicast(self) -> str:
        return f"poll://uni@{self._member}/{self._member}"

    def resolve_target(self, target: str) -> str:
        return anycast(target)

    def recv(self, callback: Callable[[str], None]) -> None:
        self._deliver = callback

    async def start(self) -> None:
        self._listening = asyncio.get_running_loop().create_task(self._stream.run(self._message))

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.cancel()

    def _message(self, text: str) -> None:
        with suppress(msgspec.MsgspecError):
            hint = read_hint(text)
            if hint is None:
                self._deliver(text)
            else:
                self.take(hint.id, hint.version)

    # Slots.

    @property
    def used(self) -> int:
        """Slots in use. A task whose outcome is being written uses none, up to as many as slots."""
        return len(self._taken) - min(len(self._ending), self._slots)

    @property
    def free(self) -> int:
        return 0 if self._closed else self._slots - self.used

    def take(self, task: str, version: int, *, assigned: bool = False) -> bool:
        """Let the SDK claim a task and run it; False if it has it already or no slot is free."""
        if task in self._taken or self.free <= 0:
            return False
        self._taken[task] = _Taken(version, assigned)
        data = {"task": {"id": task, "version": version}}
        self._deliver(msgspec.json.encode({"kind": "execute", "data": data}).decode())
        return True

    def close(self) -> None:
        """Take nothing new."""
        if not self._closed:
            self._closed = True
            self._fallback.switch(on=False)
            self._steward.drain()
        if self._listening is not None:
            self._listening.cancel()

    # With a steward.

    def assigned(self, tasks: Sequence[tuple[str, int]], *, offered: bool) -> None:
        """Claim assigned tasks. `offered`: by the steward that has the slots.

        Another steward's task gets a slot only beyond those offered to that one.
        """
        for task, version in tasks:
            reserved = 0 if offered else self._offered
            if offered:
                self._offered = max(0, self._offered - 1)
            if (taken := self._taken.get(task)) is not None:  # its last claim has not quite ended
                taken.again = version
                self._ending.discard(task)  # its slot is the next claim's
            else:
                self._accept(task, version, reserved)

    def _accept(self, task: str, version: int, reserved: int = 0) -> None:
        if self.free <= reserved or not self.take(task, version, assigned=True):
            self._steward.returned(task)

    def withdrawn(self) -> None:
        self._offered = 0

    def offer(self) -> int:
        count = max(0, self.free - self._offered)
        self._offered += count
        return count

    def fall_back(self, *, on: bool) -> None:
        self._fallback.switch(on=on and not self._closed)

    # What becomes of claims.

    def granted(self, task: str) -> None:
        if (taken := self._taken.get(task)) is not None:
            taken.unanswered = False

    def refused(self, task: str) -> None:
        """Report a refused claim; `done` follows."""
        taken = self._taken.get(task)
        if taken is not None and taken.unanswered:
            taken.unanswered = False
            self._steward.refused(task, taken.version)

    def ending(self, task: str) -> bool:
        """Free the slot of a body that is over; False if that was done already."""
        taken = self._taken.get(task)
        if taken is None or taken.again is not None or task in self._ending:
            return False
        self._ending.add(task)
        self._freed()
        return True

    def done(self, task: str) -> None:
        """Note that the SDK's task for a hint has ended."""
        self.refused(task)
        taken = self._taken.pop(task, None)
        self._ending.discard(task)
        if taken is not None and taken.again is not None:
            self._accept(task, taken.again)
        self._freed()

    def avoid(self, task: str, needs: str) -> None:
        """Give a job up. `needs`: the function that cannot begin here, "" for another reason."""
        self._steward.declined(task, needs)
        seconds = AVOID_SECONDS if needs else AGAIN_SECONDS
        self._fallback.avoid(task, seconds, reads_first=bool(needs))

    def _freed(self) -> None:
        self._fallback.fill()
        self._steward.freed()

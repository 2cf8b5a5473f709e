"""Presence: the connections to the stewards, which the kernel closes when this process dies.

Every steward hears what happens here. One of them is offered the free slots: the longest-standing
one that speaks, the same for all members. Without any the member uses its fallback.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from resonate_fleet.contract import presence as messages
from resonate_fleet.contract import sockets
from resonate_fleet.contract.presence import FromSteward, Report, Withdraw
from resonate_fleet.member.attempts import Attempt, Table
from resonate_fleet.member.intake import Intake
from resonate_fleet.member.leases import Revocation
from resonate_fleet.member.on_loop import OnLoop

if TYPE_CHECKING:
    from resonate_fleet.member.link import Link

#: Longest wait for the loop to say goodbye, in seconds.
BYE_SECONDS = 0.5
#: Seconds without any steward after which the member uses its fallback.
FALL_BACK_SECONDS = 0.5
#: Events that free no slot wait so long for others, in seconds.
LAZY_SECONDS = 0.01
NOTHING = Report()
log = structlog.get_logger()


@dataclass(eq=False)
class Reporter:
    """Collects what happens and hands it to `send`, several events in one report.

    What frees a slot goes in the loop's next iteration, the rest `LAZY_SECONDS` later at most.

    Everything but `ended` is to be called on the event loop.
    """

    table: Table
    on_loop: OnLoop
    send: Callable[[Report | Withdraw], None]
    _events: defaultdict[str, Any] = field(default_factory=lambda: defaultdict(list), init=False)
    _full: list[str] = field(default_factory=list, init=False)
    _next: asyncio.Handle | None = field(default=None, init=False)
    #: The next report goes at once.
    _now: bool = field(default=False, init=False)

    def claimed(self, attempt: Attempt) -> None:
        event = (attempt.task, attempt.version, attempt.function)
        self._add("claimed", event, at_once=False)
        self._fill()

    def ended(self, attempt: Attempt, outcome: str) -> None:
        if not self.on_loop.here:
            self.on_loop.soon(partial(self.ended, attempt, outcome))
            return
        self._add("ended", (attempt.task, attempt.version, outcome), at_once=False)
        self._fill()

    def refused(self, task: str, version: int) -> None:
        self._add("refused", (task, version))

    def returned(self, task: str) -> None:
        self._add("returned", task)

    def declined(self, task: str, needs: str) -> None:
        self._add("declined", (task, needs))

    def drain(self) -> None:
        """Withdraw all offers for good."""
        self.send(Withdraw(draining=True))

    def _fill(self) -> None:
        """Report the functions whose limit is reached here, if they have changed."""
        full = self.table.full()
        if full != self._full:
            self._full = self._events["full"] = full
            self.freed()

    def _add(self, kind: str, event: object, *, at_once: bool = True) -> None:
        self._events[kind].append(event)
        self.freed(at_once=at_once)

    def freed(self, *, at_once: bool = True) -> None:
        """Report soon: a slot may have become free."""
        if self._next is not None:
            if self._now or not at_once:
                return
            self._next.cancel()
        loop, self._now = self.on_loop.loop, at_once
        self._next = (
            loop.call_soon(self._report) if at_once else loop.call_later(LAZY_SECONDS, self._report)
        )

    def _report(self) -> None:
        self._next = None
        events, self._events = self._events, defaultdict(list)
        self.send(Report(**events))


@dataclass(eq=False)
class Presence:
    """The stewards. All methods but `leave` are to be called on the event loop.

    `working` is called when there is a steward to work for.
    """

    intake: Intake
    table: Table
    revocation: Revocation
    on_loop: OnLoop
    working: Callable[[], None]
    #: The welcomed connections, and the one to the steward that is offered the slots.
    links: "set[Link]" = field(default_factory=set, init=False)
    _serving: "Link | None" = field(default=None, init=False)
    _falling_back: asyncio.TimerHandle | None = field(default=None, init=False)
    #: The last steward has said that this group's members wait while there is none.
    _waits: bool = field(default=False, init=False)
    #: The next steward is not the first one: hints may have gone elsewhere in between.
    _turned: bool = field(default=False, init=False)
    #: It has said goodbye, or is about to.
    said_bye: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.reporter = Reporter(self.table, self.on_loop, self._say)
        sockets.keep_from_children(self._descriptors)

    def _say(self, message: Report | Withdraw) -> None:
        free = self.intake.offer() if self._serving is not None else 0
        for link in self.links:
            offers = free and link is self._serving
            said = msgspec.structs.replace(message, free=free) if offers else message
            if said != NOTHING:
                link.say(said)

    # Called by links.

    def welcomed(self, link: "Link") -> None:
        if self.said_bye:
            link.say(messages.Bye())
            link.close()
            return
        self.links.add(link)
        log.info("presence.held", steward=link.rank[1])
        link.say(messages.Held(self.table.holdings(), self.table.full()))
        self.choose()

    def lost(self, link: "Link") -> None:
        if link in self.links:
            self.links.discard(link)
            log.info("presence.lost", steward=link.rank[1])
            self.choose()

    def heard(self, link: "Link", message: FromSteward) -> None:
        match message:
            case messages.Assign(tasks=tasks):
                self.intake.assigned(tasks, offered=link is self._serving)
            case messages.Released(tasks=tasks):
                self.revocation.released(tasks)
            case messages.Cancel(tasks=tasks):
                self.revocation.cancelled(tasks)
            case messages.Beat(waits=bool() as waits):
                link.waits = waits
                self._waits = waits if link is self._serving else self._waits

    # The steward that is offered the slots.

    def choose(self) -> None:
        """Choose the longest-standing steward that still speaks."""
        loop = asyncio.get_running_loop()
        there = [one for one in self.links if loop.time() - one.heard_at < messages.SILENT_SECONDS]
        chosen = min(there, key=lambda one: one.rank, default=None)
        if chosen is not None and chosen is not self._serving:
            self._turn_to(chosen)
        elif chosen is None and self._serving is not None:
            self._serving = None
            self.intake.withdrawn()
        if chosen is None and self._falling_back is None:
            self._falling_back = loop.call_later(FALL_BACK_SECONDS, self.fall_back)

    def _turn_to(self, chosen: "Link") -> None:
        if self._falling_back is not None:
            self._falling_back.cancel()
            self._falling_back = None
        if self._serving is not None and self._serving in self.links:
            self._serving.say(Withdraw())
        self._serving, self._waits = chosen, chosen.waits
        self.intake.withdrawn()
        self.intake.fall_back(on=False)
        self.working()
        chosen.say(Report(turned="again" if self._turned else "first"))
        self._turned = True
        self.reporter.freed()

    def fall_back(self) -> None:
        """Work without a steward, if the group's policy allows that."""
        if not self._waits:
            self._turned = True
            self.intake.fall_back(on=True)

    # The end.

    def leave(self) -> None:
        """Say goodbye and close; this member holds nothing any more. For another thread."""
        self.said_bye = True

        def bye() -> None:
            for link in list(self.links):
                link.say(messages.Bye())
                link.close()

        if not self.on_loop.wait(bye, BYE_SECONDS):
            # The loop is blocked. Without a goodbye the end would look like a death.
            for descriptor in self._descriptors():
                with suppress(OSError):
                    os.write(descriptor, messages.line(messages.Bye()))

    def _descriptors(self) -> list[int]:
        """Return the sockets' descriptors: a forked child's copies would outlive this process."""
        return [fd for link in list(self.links) if (fd := link.descriptor()) is not None]

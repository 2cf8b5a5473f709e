"""Who is a member and who died, and what follows from it.

A member whose presence ends without goodbye gets a short grace: it may only have lost the
connection. Then it is taken for dead, and what it held is handed over (`steward.handover`). If it
comes back under the same name it was not dead: it hears what it lost, and its jobs are blamed no
more.
"""

import asyncio
from collections.abc import Iterable
from hmac import compare_digest

import msgspec
import structlog

from resonate_fleet.contract.journal import FalseAlarm, Joined, Left
from resonate_fleet.contract.live import LiveMember, MemberState
from resonate_fleet.contract.loops import keep
from resonate_fleet.contract.presence import FromMember, FromSteward, Hello, Released
from resonate_fleet.contract.wire import Task
from resonate_fleet.steward.attempts import Latest
from resonate_fleet.steward.dispatch import Dispatch
from resonate_fleet.steward.handover import Death, Handover
from resonate_fleet.steward.presence import Connection
from resonate_fleet.steward.state_file import Known
from resonate_fleet.steward.tools import Tools

#: Least pause between two writes of the state file, in seconds.
SAVE_EVERY = 0.1
#: A stopping steward gives hand-overs under way this long, in seconds.
STOP_SECONDS = 3.0
#: Seconds for which members that died or left are shown.
SHOWN_SECONDS = 600.0


class Membership:
    """Keeps the members. Everything is to be called on the event loop."""

    def __init__(self, tools: Tools, handover: Handover, dispatch: Dispatch) -> None:
        self.present: dict[str, Connection] = {}
        self._tools = tools
        self._handover = handover
        self._dispatch = dispatch
        self._deaths: Latest[Death] = Latest()
        self._tasks: set[asyncio.Task[None]] = set()
        #: When members died or left, Unix seconds.
        self._departed: Latest[float] = Latest()
        self._incarnations: Latest[str] = Latest()
        self._shown: Latest[LiveMember] = Latest()
        self._dirty = asyncio.Event()

    def departed_since(self, at: float) -> bool:
        """Say whether a member has died or left since `at`, Unix seconds."""
        return bool(self._departed) and next(reversed(self._departed.values())) >= at

    def all(self) -> list[LiveMember]:
        """Return the members, those included that died or left some minutes ago."""
        now = self._tools.now()
        return [
            one
            for one in self._shown.values()
            if one.member in self.present or now - (one.until or now) < SHOWN_SECONDS
        ]

    # Called by presence.

    async def came(self, connection: Connection) -> list[FromSteward]:
        """Take in a member that has said hello; return what it is to hear.

        | it was | what follows |
        |---|---|
        | unknown, or has left | it joins |
        | present | this connection replaces the last one, whose end nobody has noticed yet |
        | missing | its hand-over is called off |
        | dead | a false alarm: it hears what it lost |

        Raises:
            ValueError: its name is that of another process.
        """
        hello = connection.hello
        first = self._incarnations.get(hello.member, hello.incarnation)
        if not compare_digest(first.encode(), hello.incarnation.encode()):
            raise ValueError(f"{hello.member} is the name of another process")
        before, self.present[hello.member] = self.present.get(hello.member), connection
        if before is not None:
            self._dispatch.left(before)
            before.close()
        self._dispatch.joined(connection)
        self._note_coming(hello)
        if (death := self._deaths.pop(hello.member, None)) is not None:
            return await self._back(death)
        if before is None:
            self._tools.journal.write(Joined(member=hello.member, group=hello.group))
            self._tools.attempts.mark(self._tools.now(), "joined", hello.member)
        return []

    def _note_coming(self, hello: Hello) -> None:
        self._departed.pop(hello.member, None)
        self._incarnations.note(hello.member, hello.incarnation)
        shown = self._shown.get(hello.member)
        since = shown.since if shown else self._tools.now()
        fresh = LiveMember(
            member=hello.member, group=hello.group, slots=hello.slots, free=0, since=since
        )
        self._shown.note(hello.member, fresh)
        known = Known(hello.group, hello.slots)
        if self._tools.memory.members.get(hello.member) != known:
            self._tools.memory.members[hello.member] = known
            self._dirty.set()

    def heard(self, connection: Connection, message: FromMember) -> None:
        if self.present.get(connection.member) is connection:
            for task in self._dispatch.heard(connection, message):
                if self._handover.is_trial(task):
                    keep(self._tasks, self._handover.end_trial(task))

    def left(self, connection: Connection) -> None:
        if self._leaves(connection) is not None:
            self._tools.attempts.reconcile(self._tools.now(), connection.member, ())
            self._forget(connection.member, "left")
            self._tools.journal.write(Left(member=connection.member))
            self._tools.attempts.mark(self._tools.now(), "left", connection.member)

    def ended(self, connection: Connection) -> None:
        serving = self._dispatch.group(connection.hello.group).serving
        if connection.offers:  # it served until now, whoever else is left
            serving = asyncio.Event()
            serving.set()
        unanswered = self._leaves(connection)
        if unanswered is not None:
            death = Death(connection.member, self._tools.now(), unanswered, serving)
            self._show(death.member, "missing", death.ended_at + self._tools.grace)
            self._take_for_dead(death, seen=True)

    def _leaves(self, connection: Connection) -> list[str] | None:
        """Return the unanswered assignments; None if its member has a newer connection already."""
        if self.present.get(connection.member) is not connection:
            return None
        del self.present[connection.member]
        return self._dispatch.left(connection)

    # Death and return.

    def note_absent(self) -> None:
        """Take for dead the members of the last steward that have not come back to this one."""
        for member in list(self._tools.memory.members):
            if member not in self.present and member not in self._deaths:
                self._take_for_dead(Death(member, self._tools.now()), seen=False)

    def _take_for_dead(self, death: Death, *, seen: bool) -> None:
        self._deaths.note(death.member, death)
        death.handing_over = keep(self._tasks, self._hand_over(death, seen=seen))

    async def _hand_over(self, death: Death, *, seen: bool) -> None:
        run = self._handover.run if seen else self._handover.run_unseen
        try:
            await run(death)
        except Exception:  # noqa: BLE001 - a defect of ours: a survey does what is left
            structlog.get_logger().exception("hand-over.failed", member=death.member)
            self._tools.meters.errors.labels("hand-over").inc()
        if not death.back.is_set():
            self._forget(death.member, "dead")

    async def _back(self, death: Death) -> list[FromSteward]:
        """Take back what was done to a member that is here again; return what it is to hear."""
        death.back.set()
        if death.handing_over is not None:
            # A release under way finishes first, so that the member hears of it.
            await death.handing_over
        if death.blamed:
            await self._handover.pardon(death.member)
        if not death.declared:
            return []
        self._tools.meters.false_alarms.inc()
        self._tools.journal.write(FalseAlarm(member=death.member), level=30)
        self._tools.attempts.mark(self._tools.now(), "false-alarm", death.member)
        return [Released(tasks=death.taken)] if death.taken else []

    def _forget(self, member: str, state: MemberState) -> None:
        self._tools.memory.members.pop(member, None)
        self._departed.note(member, self._tools.now())
        self._show(member, state, self._tools.now())
        self._dirty.set()

    def _show(self, member: str, state: MemberState, until: float) -> None:
        shown = self._shown.get(member)
        if shown is not None:
            self._shown[member] = msgspec.structs.replace(shown, state=state, until=until)

    async def release_departed(self, held: Iterable[Task]) -> None:
        """Release what is still held under the name of a member that died or left.

        Its claim may have been on the wire when it died; its releases may not have reached the
        server before it left. Names are never used twice, so this is safe.
        """
        for task in held:
            since = self._departed.get(task.pid or "")
            if since is not None:
                await self._handover.release_late(task, since)

    async def keep_saving(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            self._tools.save()
            await asyncio.sleep(SAVE_EVERY)

    async def stop(self) -> None:
        """Let hand-overs finish for a moment; the state file keeps the rest for the next start."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        self._tools.save()

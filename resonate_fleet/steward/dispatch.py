"""Routes hints, surveys and members' reports to the matchers of their groups.

While members of a group offer their slots to this steward, it hears the group's hints and they do
not. Plain SDK workers of the group still hear them too.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from weakref import WeakValueDictionary

import msgspec

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.live import LiveAttempt, LiveParked
from resonate_fleet.contract.presence import (
    FromMember,
    Held,
    Holding,
    Report,
    Withdraw,
)
from resonate_fleet.contract.stream import Stream
from resonate_fleet.contract.tuning import SERVER_ENV
from resonate_fleet.contract.wire import Task
from resonate_fleet.steward.attempts import OVER, attempt_of
from resonate_fleet.steward.groups import Group
from resonate_fleet.steward.policy import GroupPolicy
from resonate_fleet.steward.presence import Connection
from resonate_fleet.steward.promise_reader import PromiseReader
from resonate_fleet.steward.survey import Entry, Seen
from resonate_fleet.steward.survey_loop import SurveyLoop
from resonate_fleet.steward.tools import Tools

#: Makes the stream of a group's hints. The second argument is called when it is open again.
OpenStream = Callable[[str, Callable[[], None]], Stream]
#: How often the server sends the hints that are due, in seconds.
TICK_SECONDS = int(SERVER_ENV["RESONATE_MESSAGES__POLL_INTERVAL"]) / 1000


class Dispatch:
    """All groups. Everything is to be called on the event loop."""

    def __init__(
        self,
        tools: Tools,
        interval: float,
        open_stream: OpenStream,
        policies: Mapping[str, GroupPolicy],
    ) -> None:
        self.groups: dict[str, Group] = {}
        #: By group: a death that waits for members outlives the group that had none.
        self._serving: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        self._tools = tools
        self.survey_loop = SurveyLoop(tools, interval)
        self.open_stream = open_stream
        self.promises = tools.attempts.listener = PromiseReader(tools, policies, self)
        self.surveyor = self.promises.surveyor
        self._tick = 0.0

    def group(self, name: str) -> Group:
        if name not in self.groups:
            serving = self._serving.setdefault(name, asyncio.Event())
            self.groups[name] = Group(name, self._tools, self, serving)
        return self.groups[name]

    def close(self) -> None:
        for group in self.groups.values():
            group.close()
        self.promises.close()

    @property
    def listens(self) -> bool:
        """Whether this steward hears the hints of every group with members."""
        present = [group for group in self.groups.values() if group.present]
        surveyed = self.survey_loop.at is not None
        return surveyed and bool(present) and all(group.listens for group in present)

    @property
    def has_listener(self) -> bool:
        """Whether some steward hears them, this one or another."""
        present = [group for group in self.groups.values() if group.present]
        return bool(present) and all(
            group.listens or not group.serving.is_set() for group in present
        )

    @property
    def is_complete(self) -> bool:
        """Whether every live task is known: no group has missed hints since the last survey."""
        serving = [one.opened_at for one in self.groups.values() if one.serving.is_set()]
        surveyed = self.survey_loop.at
        return surveyed is not None and all(at is not None and at <= surveyed for at in serving)

    # Hints.

    def offer(self, group: Group, task: str, version: int) -> None:
        """Queue a task that a hint names as claimable at a version."""
        entry = self.surveyor.entries.get(task)
        if entry is not None and not entry.anyone:
            return
        if entry is None and not group.matching.deferred:
            self.surveyor.note(task, group.name)
        begun = entry.created if entry and version == 0 else self._arrival()
        needs = entry.function if entry else ""
        group.offer(task, version, self._tools.attempts.waits_since(task, begun), needs)

    def _arrival(self) -> float:
        """Return the time that counts for hints that come now, Unix seconds.

        All hints of one tick of the server get the same time: it sends them by id, not by age.
        """
        now = self._tools.now()
        if not 0 <= now - self._tick < TICK_SECONDS:
            self._tick = now
        return self._tick

    # Members.

    def joined(self, connection: Connection) -> None:
        group = self.group(connection.hello.group)
        group.join(connection)
        self.promises.members_changed(group)

    def left(self, connection: Connection) -> list[str]:
        """Forget a member; return the assigned tasks that it has not answered for."""
        group = self.group(connection.hello.group)
        unanswered = group.leave(connection.member)
        self.promises.members_changed(group)
        return unanswered

    def heard(self, connection: Connection, message: FromMember) -> list[str]:
        """Take in a member's message; return the tasks that it says are over."""
        group, member = self.group(connection.hello.group), connection.member
        match message:
            case Report():
                self._report(group, member, message)
                # A member of an earlier version offers its slots without `turned`.
                if message.turned or (message.free and not connection.offers):
                    group.serve(connection, again=message.turned != "first")
                group.matcher.credit(member, message.free)
                if message.declined:
                    self.promises.members_changed(group)
                group.matching.soon()
                return [task for task, _, outcome in message.ended if outcome in OVER]
            case Held(attempts=attempts, full=full):
                group.matcher.filled(member, full)
                held = [attempt_of(one, group.name, member) for one in attempts]
                self._tools.attempts.reconcile(self._tools.now(), member, held)
            case Withdraw(draining=draining):
                group.withdraw(connection)
                if draining:
                    self._tools.attempts.mark(self._tools.now(), "draining", member)
        return []

    def _report(self, group: Group, member: str, said: Report) -> None:
        now, matcher = self._tools.now(), group.matcher
        if said.full is not None:
            matcher.filled(member, said.full)
        for task, attempt, function in said.claimed:
            waited = matcher.claimed(now, member, task, attempt)
            claim = attempt_of(Holding(task, attempt, function, now), group.name, member)
            created = waited.since if waited else None
            self._tools.attempts.claimed(msgspec.structs.replace(claim, created=created))
        for task, version in said.refused:
            matcher.refused(now, member, task, version)
            self._tools.meters.refused.inc()
        for task in said.returned:
            matcher.returned(now, member, task)
        for task, needs in said.declined:
            matcher.declined(task, needs)
            if needs:
                self._tools.attempts.began_nothing(task)
        for task, attempt, outcome in said.ended:
            if self._tools.attempts.over(now, task, attempt, outcome) and outcome == "lost":
                self._tools.attempts.mark(now, "lapsed", member, task)
            if outcome in OVER:
                matcher.ended(task)
                self.surveyor.entries.pop(task, None)

    # Surveys.

    def offer_found(self, tasks: Iterable[Task]) -> None:
        """Queue the claimable tasks that a search has found, of all groups."""
        for task in tasks:
            entry = self.surveyor.entries.get(task.id)
            stale = self._tools.attempts.is_stale(task.id, task.version)
            if entry is None or not entry.anyone or stale:
                continue
            # Until its first survey this steward knows of no earlier claims: creation counts.
            by_creation = task.version == 0 or self.survey_loop.at is None
            begun = entry.created if by_creation else self._tools.now()
            since = self._tools.attempts.waits_since(task.id, begun)
            self.group(entry.group).offer(task.id, task.version, since, entry.function)

    def searched(self, state: str, reporting: Collection[str]) -> None:
        """Take what a search has shown; `reporting`: the members that report here."""
        seen, attempts = self.surveyor.seen[state], self._tools.attempts
        group_of = self.surveyor.group_of
        match state:
            case "pending":
                for name, group in list(self.groups.items()):
                    group.matcher.keep(seen.tasks, seen.at)
                    is_kept = group.present or len(group.matcher) or self.promises.has_policy(name)
                    if not is_kept:
                        del self.groups[name]  # anybody can make up more
                self.surveyor.prune(self._lives)
            case "acquired":
                self._show_acquired(seen, reporting)
            case "suspended":
                attempts.found_suspended(seen.at, {task: group_of(task) for task in seen.tasks})
            case "halted":
                parked = {
                    task: LiveParked(
                        task=task, job=root_of(task), attempt=one.version, group=group_of(task)
                    )
                    for task, one in seen.tasks.items()
                }
                attempts.found_parked(seen.at, parked)
        for group in self.groups.values():
            needed = "acquired" if self.promises.has_policy(group.name) else "pending"
            opened, shown = group.opened_at, self.surveyor.seen["pending"].at
            if state == needed and opened is not None and opened <= shown:
                group.matching.begin()

    def _show_acquired(self, seen: Seen, reporting: Collection[str]) -> None:
        held: dict[str, LiveAttempt] = {}
        for one in seen.tasks.values():
            group = self.surveyor.group_of(one.id)
            if group in self.groups:
                self.groups[group].matcher.drop(one.id, one.version)
            holding = Holding(one.id, one.version, "", seen.at)
            held[one.id] = attempt_of(holding, group, one.pid or "")
        self._tools.attempts.found_running(seen.at, held, reporting)
        for known in self.groups.values():
            self.promises.surveyed(known)

    def _lives(self, task: str, entry: Entry) -> bool:
        attempts, group = self._tools.attempts, self.groups.get(entry.group)
        return (
            task in attempts.running
            or task in attempts.suspended
            or (group is not None and task in group.matcher)
        )

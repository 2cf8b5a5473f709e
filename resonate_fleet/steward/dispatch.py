"""What is heard of tasks goes to the matchers of their groups, what members say to all it concerns.

For each group of which members have offered slots to this steward it listens to the server's
hints. Nobody else of the group does then, but for workers without presence.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from resonate_fleet.contract.hints import Hint
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.live import LiveParked
from resonate_fleet.contract.presence import (
    Cancel,
    FromMember,
    Held,
    Hello,
    Holding,
    Report,
    Withdraw,
)
from resonate_fleet.contract.stream import Stream
from resonate_fleet.contract.wire import Task
from resonate_fleet.steward.groups import Group
from resonate_fleet.steward.labelling import Labelling
from resonate_fleet.steward.matcher import Matcher
from resonate_fleet.steward.policy import GroupPolicy
from resonate_fleet.steward.presence import Connection
from resonate_fleet.steward.survey import Survey, Surveyor, group_in
from resonate_fleet.steward.tools import Tools
from resonate_fleet.steward.work import OVER, attempt_of

#: Makes the stream of a group's hints. The second argument is called when it stands again.
OpenStream = Callable[[str, Callable[[], None]], Stream]


class Dispatch:
    """All groups. Everything is to be called on the event loop.

    `wanted` is called when a survey would show what cannot be known otherwise, `look_wanted` when
    a look at what is claimable would do, `over` with each task that has come to its end.
    """

    def __init__(
        self,
        tools: Tools,
        surveyor: Surveyor,
        open_stream: OpenStream,
        policies: Mapping[str, GroupPolicy],
    ) -> None:
        self.groups: dict[str, Group] = {}
        self.wanted: Callable[[], None] = lambda: None
        self.look_wanted: Callable[[], None] = lambda: None
        self.over: Callable[[str], None] = lambda _: None
        self._tools = tools
        self._surveyor = surveyor
        self._open_stream = open_stream
        self._labelling = Labelling(tools, surveyor, policies, self.groups, self._offer)
        self.obey = self._labelling.obey
        tools.work.began = lambda one: self._labelling.began(self.group(one.group), one.task)
        tools.work.left = lambda one: self._labelling.left(self.group(one.group), one.task)
        self._surveyed = False

    def group(self, name: str) -> Group:
        if name not in self.groups:
            matcher = Matcher(*self._labelling.queue(name))
            self.groups[name] = Group(name, self._tools, self, matcher)
        return self.groups[name]

    def close(self) -> None:
        for group in self.groups.values():
            group.close()
        self._labelling.close()

    @property
    def hears(self) -> bool:
        """Whether the server's hints are heard for every group that has members."""
        present = [group for group in self.groups.values() if group.present]
        return self._surveyed and bool(present) and all(group.hears for group in present)

    @property
    def neglects(self) -> bool:
        """Whether tasks wait of which no hint would be heard."""
        return any(len(one.matcher) and not one.hears for one in self.groups.values())

    def cancel(self, task: str) -> str | None:
        """Tell whoever runs `task` to stop its body; return that member, None where nobody does.

        The job itself must have been ended on the server before.
        """
        attempt = self._tools.work.running.get(task)
        holder = self.group(attempt.group).present.get(attempt.member) if attempt else None
        if attempt is None or holder is None:
            return None
        holder.say(Cancel([task]))
        self._tools.work.mark(self._tools.now(), "cancelled", attempt.member, task)
        return attempt.member

    # The doors of groups.

    def patience(self, group: str) -> float:
        return self._labelling.patience(group)

    def stream(self, group: str) -> Stream:
        self._labelling.label_running(self.group(group))
        return self._open_stream(group, self.wanted)

    def survey(self) -> None:
        self.wanted()

    def turned(self) -> None:
        self.look_wanted()

    def hint(self, group: Group, hint: Hint) -> None:
        if not self._tools.work.is_stale(hint.id, hint.version):
            self._labelling.hint(group, hint)

    def _offer(self, group: Group, task: str, version: int) -> None:
        entry = self._surveyor.entries.get(task)
        if entry is not None and not entry.anyone:
            return
        now = self._tools.now()
        begun = entry.created if entry and version == 0 else now
        needs = entry.function if entry else ""
        group.offer(task, version, self._tools.work.place(task, begun), needs)

    # Members.

    def joined(self, connection: Connection, hello: Hello) -> None:
        group = self.group(hello.group)
        group.join(connection, hello)
        self._labelling.members_changed(group)

    def gone(self, hello: Hello) -> list[str]:
        """Return the tasks whose claim the member has not answered for."""
        group = self.group(hello.group)
        unanswered = group.leave(hello.member)
        self._labelling.members_changed(group)
        return unanswered

    def heard(self, connection: Connection, hello: Hello, message: FromMember) -> None:
        group = self.group(hello.group)
        match message:
            case Report():
                self._report(group, hello.member, message)
                if message.free:
                    group.credit(connection, message.free)
                if message.declined:
                    self._labelling.members_changed(group)
                group.matching.soon()
            case Held(attempts=attempts, full=full):
                group.matcher.filled(hello.member, full)
                held = [attempt_of(one, hello.group, hello.member) for one in attempts]
                self._tools.work.holds(self._tools.now(), hello.member, held)
            case Withdraw(draining=draining):
                group.withdraw(connection)
                if draining:
                    self._tools.work.mark(self._tools.now(), "draining", hello.member)

    def _report(self, group: Group, member: str, said: Report) -> None:
        now, matcher = self._tools.now(), group.matcher
        if said.full is not None:
            matcher.filled(member, said.full)
        for task, attempt, function in said.claimed:
            waited = matcher.claimed(now, member, task, attempt)
            claim = attempt_of(Holding(task, attempt, function, now), group.name, member)
            created = waited.since if waited else None
            self._tools.work.claimed(msgspec.structs.replace(claim, created=created))
        for task, version in said.refused:
            matcher.refused(now, member, task, version)
            self._tools.meters.refused.inc()
        for task in said.returned:
            matcher.returned(now, member, task)
        for task, lacks in said.declined:
            matcher.declined(task, lacks)
            if lacks:
                self._tools.work.began_nothing(task)
        for task, attempt, outcome in said.ended:
            if self._tools.work.over(now, task, attempt, outcome) and outcome == "lost":
                self._tools.work.mark(now, "lapsed", member, task)
            if outcome in OVER:
                matcher.ended(task)
                self.over(task)

    # Surveys.

    def found(self, tasks: Iterable[Task]) -> None:
        """Take what a survey shows as claimable, of all groups."""
        for task in tasks:
            entry = self._surveyor.entries.get(task.id)
            if entry is None or not entry.anyone:
                continue
            if self._tools.work.is_stale(task.id, task.version):
                continue
            # What was claimed before this steward came goes by its creation all the same.
            own = task.version == 0 or not self._surveyed
            begun = entry.created if own else self._tools.now()
            place = self._tools.work.place(task.id, begun)
            self.group(entry.group).offer(task.id, task.version, place, entry.function)

    def surveyed(self, survey: Survey, told: set[str]) -> None:
        """Take the whole of a survey; `told` are the members that tell themselves what they do."""
        self._surveyed = True
        entries, work = self._surveyor.entries, self._tools.work
        held = {
            one.id: attempt_of(
                Holding(one.id, one.version, "", survey.at),
                group_in(entries, one.id),
                one.pid or "",
            )
            for one in survey.acquired.values()
        }
        work.found_running(survey.at, held, told)
        waits = {t: group_in(entries, t) for t in survey.suspended}
        work.found_suspended(survey.at, waits)
        parked = [
            LiveParked(
                task=one.id,
                job=root_of(one.id),
                attempt=one.version,
                group=group_in(entries, one.id),
            )
            for one in survey.halted.values()
        ]
        work.found_parked(survey.at, {one.task: one for one in parked})
        for name, group in list(self.groups.items()):
            group.matcher.keep(survey.pending, survey.at)
            self._labelling.surveyed(group)
            if group.opened_at is not None and group.opened_at <= survey.at:
                group.matching.begin()
            if (
                not group.present
                and not len(group.matcher)
                and not self._labelling.has_policy(name)
            ):
                del self.groups[name]  # anybody can make up more

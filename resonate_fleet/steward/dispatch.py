"""What is heard of tasks goes to the matchers of their groups, what members say to all it concerns.

For each group of which members have offered slots to this steward it listens to the server's
hints. Nobody else of the group does then, but for workers without presence.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial

import msgspec

from resonate_fleet.contract.hints import Hint, is_child
from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.live import LiveAttempt, LiveParked
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
from resonate_fleet.steward.fair import LABELS_WAIT, FairQueue
from resonate_fleet.steward.groups import HOLD, Group
from resonate_fleet.steward.matcher import Matcher
from resonate_fleet.steward.policy import GroupPolicy, Labels
from resonate_fleet.steward.presence import Connection
from resonate_fleet.steward.survey import Survey, Surveyor, group_in
from resonate_fleet.steward.tools import Tools
from resonate_fleet.steward.waiting import FirstCome, NoLimits, Queue, QueueLimits
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
        self._policies = policies
        tools.work.began = self._began
        tools.work.left = self._left
        surveyor.reads = self._reads
        self._surveyed = False
        #: Looks that are under way, by what is looked up: anybody chooses the ids of jobs.
        self._peeks: dict[tuple[str, str], asyncio.Task[None]] = {}
        #: Groups of which it is known what their waiting tasks call, as far as they are mixed.
        self._read: set[str] = set()

    def group(self, name: str) -> Group:
        if name not in self.groups:
            self.groups[name] = Group(name, self._tools, self, Matcher(*self._queue(name)))
        return self.groups[name]

    async def obey(self, policies: Mapping[str, GroupPolicy]) -> None:
        """Go by other policies from now on, also with what waits already."""
        before, self._policies = self._policies, policies
        for name, group in list(self.groups.items()):
            if policies.get(name) == before.get(name):
                continue
            running = [t for t, one in self._tools.work.running.items() if one.group == name]
            waiting = [one.task for one in group.matcher.waiting()]
            await self._surveyor.learn_anew([*waiting, *running])
            queue, limits = self._queue(name)
            for task, one in self._tools.work.running.items():
                if one.group == name:
                    limits.holds(task)
            group.matcher.requeue(queue, limits)
            group.matching.soon()

    def _queue(self, group: str) -> tuple[Queue, QueueLimits]:
        policy = self._policies.get(group)
        if policy is None:
            return FirstCome(), NoLimits()
        queue = FairQueue(policy, self._labels)
        return queue, queue

    def _labels(self, task: str) -> Labels | None:
        entry = self._surveyor.entries.get(task)
        return entry.labels if entry else None

    def close(self) -> None:
        for group in self.groups.values():
            group.close()
        for task in self._peeks.values():
            task.cancel()

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
        return LABELS_WAIT if group in self._policies else HOLD

    def stream(self, group: str) -> Stream:
        self._label_running(self.group(group))
        return self._open_stream(group, self.wanted)

    def survey(self) -> None:
        self.wanted()

    def turned(self) -> None:
        self.look_wanted()

    def hint(self, group: Group, hint: Hint) -> None:
        """Take a hint of the server. Whether a child is work, only its promise tells."""
        if self._tools.work.is_stale(hint.id, hint.version):
            return
        entry, reads = self._surveyor.entries.get(hint.id), self._reads(group.name)
        known = entry is not None and (bool(entry.function) or not reads)
        if known or not (is_child(hint.id) or reads):
            self._offer(group, hint.id, hint.version)
        elif (key := ("hint", hint.id)) not in self._peeks:
            self._spawn(key, self._peek(group, hint))

    def _spawn(self, key: tuple[str, str], work: Coroutine[None, None, None]) -> None:
        self._peeks[key] = asyncio.get_running_loop().create_task(work)
        self._peeks[key].add_done_callback(lambda _: self._peeks.pop(key, None))

    def _began(self, one: LiveAttempt) -> None:
        group = self.group(one.group)
        group.matcher.holds(one.task)
        if group.serving.is_set():
            self._label_running(group)

    def _label_running(self, group: Group) -> None:
        key = ("running", group.name)
        if group.matcher.unlabelled() and key not in self._peeks:
            self._spawn(key, self._label(group))

    async def _label(self, group: Group) -> None:
        """Learn where those stand that run; the group's matching waits for it."""
        while tasks := group.matcher.unlabelled():
            await self._tools.insist(partial(self._surveyor.learn_anew, tasks), "peek")
            self._labelled(group, tasks)

    def _labelled(self, group: Group, tasks: Iterable[str]) -> None:
        for task in tasks:
            group.matcher.relabel(task)
        group.matching.soon()

    def _left(self, one: LiveAttempt) -> None:
        group = self.group(one.group)
        group.matcher.frees(one.task)
        if one.group in self._policies:  # what waits for a limit may have room now
            group.matching.soon()

    async def _peek(self, group: Group, hint: Hint) -> None:
        await self._tools.insist(lambda: self._surveyor.peek(hint.id), "peek")
        self._offer(group, hint.id, hint.version)

    def _offer(self, group: Group, task: str, version: int) -> None:
        entry = self._surveyor.entries.get(task)
        if entry is not None and not entry.anyone:
            return
        now = self._tools.now()
        begun = entry.created if entry and version == 0 else now
        needs = entry.function if entry else ""
        group.offer(task, version, self._tools.work.place(task, begun), needs)

    # Groups whose members do not all have the same functions.

    def _reads(self, group: str) -> bool:
        """Whether it matters what a group's tasks call: then each costs a look at its promise."""
        found = self.groups.get(group)
        return group in self._policies or (found is not None and found.matcher.is_mixed)

    def _mind_functions(self, group: Group) -> None:
        """Learn what waits already where a group's members differ from now on."""
        if not self._reads(group.name):
            self._read.discard(group.name)
        elif group.name not in self._read:
            self._read.add(group.name)
            self._spawn(("group", group.name), self._learn(group))

    async def _learn(self, group: Group) -> None:
        tasks = [one.task for one in group.matcher.waiting() if not one.needs]
        await self._tools.insist(lambda: self._surveyor.learn_anew(tasks), "peek")
        for one in list(group.matcher.waiting()):
            self._offer(group, one.task, one.version)

    # Members.

    def joined(self, connection: Connection, hello: Hello) -> None:
        group = self.group(hello.group)
        group.join(connection, hello)
        self._mind_functions(group)

    def gone(self, hello: Hello) -> list[str]:
        """Return the tasks whose claim the member has not answered for."""
        group = self.group(hello.group)
        unanswered = group.leave(hello.member)
        self._mind_functions(group)
        return unanswered

    def heard(self, connection: Connection, hello: Hello, message: FromMember) -> None:
        group = self.group(hello.group)
        match message:
            case Report():
                self._report(group, hello.member, message)
                if message.free:
                    group.credit(connection, message.free)
                if message.declined:
                    self._mind_functions(group)
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
            self._labelled(group, (t for t in group.matcher.unlabelled() if t in entries))
            if group.opened_at is not None and group.opened_at <= survey.at:
                group.matching.begin()
            if not group.present and not len(group.matcher) and name not in self._policies:
                del self.groups[name]  # anybody can make up more

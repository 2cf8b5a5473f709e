"""Reads promises where the matcher needs a task's function or attributes.

That is so in a group with a policy, and in one whose members differ in their functions. There each
task costs a read of its promise before it is offered to the matcher.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from resonate_fleet.contract.ids import is_child
from resonate_fleet.contract.live import LiveAttempt
from resonate_fleet.contract.presence import Beat
from resonate_fleet.contract.stream import Hint
from resonate_fleet.steward.fair import FairQueue
from resonate_fleet.steward.groups import Group
from resonate_fleet.steward.policy import Attributes, GroupPolicy
from resonate_fleet.steward.survey import ABREAST, Surveyor
from resonate_fleet.steward.tools import Tools

if TYPE_CHECKING:
    from resonate_fleet.steward.dispatch import Dispatch


class PromiseReader:
    """One for all groups. Everything is to be called on the event loop.

    What it has read of a task it offers to `dispatch`. As the listener of `Attempts` it counts what
    runs for the limits of its group.
    """

    def __init__(
        self, tools: Tools, policies: Mapping[str, GroupPolicy], dispatch: "Dispatch"
    ) -> None:
        self._tools = tools
        self.surveyor = Surveyor(tools.wire, tools.now, self.reads)
        self._policies = policies
        self._dispatch = dispatch
        #: Reads under way, by their purpose.
        self._reading: dict[tuple[str, str], asyncio.Task[None]] = {}
        #: Hints whose promises are to be read.
        self._unread: dict[str, tuple[Group, Hint]] = {}
        #: Groups of which the waiting tasks were read when their members began to differ.
        self._learned: set[str] = set()

    def close(self) -> None:
        for task in self._reading.values():
            task.cancel()

    # By the policy.

    def has_policy(self, group: str) -> bool:
        return group in self._policies

    def waits(self, group: str) -> bool:
        """Say whether a group's members wait while there is no steward."""
        return self.has_policy(group) and self._policies[group].alone == "wait"

    def queue(self, group: str) -> FairQueue:
        """Return an empty queue for a group."""
        policy = self._policies.get(group)
        return FairQueue() if policy is None else FairQueue(policy, self._attributes)

    def _attributes(self, task: str) -> Attributes | None:
        entry = self.surveyor.entries.get(task)
        return entry.attributes if entry else None

    def apply(self, policies: Mapping[str, GroupPolicy]) -> None:
        """Use other policies from now on, for waiting and running tasks too."""
        self._policies = policies
        for group in self._dispatch.groups.values():
            for member in group.present.values():
                member.say(Beat(waits=self.waits(group.name)))
        self._spawn(("policy", ""), self._tools.insist(self._requeue_changed, "policy"))

    async def _requeue_changed(self) -> None:
        for name, group in list(self._dispatch.groups.items()):
            if self._policies.get(name) == group.matcher.queue.policy:
                continue
            await self.surveyor.learn_anew([*group.matcher.queue.waiting, *self._under_way(group)])
            queue = self.queue(name)
            for task in self._under_way(group):
                queue.limits.occupy(task)
            group.matcher.requeue(queue)
            self.read_running(group)
            group.matching.soon()

    def _under_way(self, group: Group) -> set[str]:
        running = (one for one in self._tools.attempts.running.values() if one.group == group.name)
        return {one.task for one in running} | group.matcher.assigned.keys()

    # What runs.

    def began(self, attempt: LiveAttempt) -> None:
        self.surveyor.note(attempt.task, attempt.group)
        group = self._dispatch.group(attempt.group)
        group.matcher.queue.limits.occupy(attempt.task)
        if group.serving.is_set():
            self.read_running(group)

    def ended(self, attempt: LiveAttempt) -> None:
        group = self._dispatch.group(attempt.group)
        group.matcher.queue.limits.vacate(attempt.task)
        if self.has_policy(group.name):  # a limit may allow another start now
            group.matching.soon()

    def read_running(self, group: Group) -> None:
        """Read the promises of running tasks; until then a group with a policy starts nothing."""
        key = ("running", group.name)
        if group.matcher.queue.limits.unread and key not in self._reading:
            self._spawn(key, self._read_unread(group))

    async def _read_unread(self, group: Group) -> None:
        while tasks := sorted(group.matcher.queue.limits.unread):
            await self._tools.insist(partial(self.surveyor.learn_anew, tasks), "promises")
            self._recount(group, tasks)

    def surveyed(self, group: Group) -> None:
        """Count running tasks anew whose promises a survey has read."""
        known = self.surveyor.entries
        self._recount(group, [one for one in group.matcher.queue.limits.unread if one in known])

    def _recount(self, group: Group, tasks: Iterable[str]) -> None:
        for task in tasks:
            group.matcher.queue.limits.recount(task)
        group.matching.soon()

    # What waits.

    def hint(self, group: Group, hint: Hint) -> None:
        """Offer the task of a hint, unless a later claim is known.

        Unless its promise is known it is read first where the group is read (`reads`), and that of
        a child always: it may be a timer.
        """
        if self._tools.attempts.is_stale(hint.id, hint.version):
            return
        entry, reads = self.surveyor.entries.get(hint.id), self.reads(group.name)
        known = entry is not None and (bool(entry.function) or not reads)
        if known or not (is_child(hint.id) or reads):
            self._dispatch.offer(group, hint.id, hint.version)
        else:
            self._unread[hint.id] = group, hint
            for number in range(ABREAST):
                if (key := ("hints", str(number))) not in self._reading:
                    self._spawn(key, self._read_hints())
                    break

    async def _read_hints(self) -> None:
        """Read the promises of hints: one by one, or by pages when many have piled up."""
        while self._unread:
            many = self.surveyor.pages_pay(len(self._unread))
            some = [self._unread.pop(next(iter(self._unread)))]
            if many:
                some += self._unread.values()
                self._unread.clear()
            await self._tools.insist(
                partial(self.surveyor.learn_anew, [hint.id for _, hint in some]), "promises"
            )
            for group, hint in some:
                self._dispatch.offer(group, hint.id, hint.version)

    def reads(self, group: str) -> bool:
        """Say whether the promise of each of a group's tasks is read."""
        found = self._dispatch.groups.get(group)
        return group in self._policies or (found is not None and found.matcher.is_mixed)

    def members_changed(self, group: Group) -> None:
        """Read the promises of waiting tasks when a group's members begin to differ."""
        if not self.reads(group.name):
            self._learned.discard(group.name)
        elif group.name not in self._learned:
            self._learned.add(group.name)
            self._spawn(("group", group.name), self._learn(group))

    async def _learn(self, group: Group) -> None:
        tasks = [one.task for one in group.matcher.queue.waiting.values() if not one.needs]
        await self._tools.insist(partial(self.surveyor.learn_anew, tasks), "promises")
        for one in list(group.matcher.queue.waiting.values()):
            self._dispatch.offer(group, one.task, one.version)

    def _spawn(self, key: tuple[str, str], work: Coroutine[None, None, None]) -> None:
        """Read in the background; an earlier read under this key ends."""
        if (before := self._reading.get(key)) is not None:
            before.cancel()
        task = self._reading[key] = asyncio.get_running_loop().create_task(work)

        def over(_: object) -> None:
            if self._reading.get(key) is task:
                del self._reading[key]

        task.add_done_callback(over)

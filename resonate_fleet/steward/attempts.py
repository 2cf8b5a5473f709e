"""Attempts, as members report them and searches show them. Pure.

Times are Unix seconds.
"""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.live import LiveAttempt, LiveMark, LiveParked, MarkKind
from resonate_fleet.contract.presence import Holding

if TYPE_CHECKING:
    from resonate_fleet.steward.promise_reader import PromiseReader

#: Ended attempts and marks that are shown, and tasks whose last attempt is remembered.
SHOWN, REMEMBERED = 2000, 20_000
#: Outcomes after which a job is over.
OVER = ("resolved", "rejected", "cancelled")
#: Outcome of an attempt whose end nobody has reported.
UNKNOWN = "unknown"


class Latest[V](OrderedDict[str, V]):
    """Forgets its oldest entry when it would hold more than `REMEMBERED`."""

    def note(self, key: str, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > REMEMBERED:
            self.popitem(last=False)


@dataclass(slots=True)
class Totals:
    """Counts of a group or a member. `busy` in seconds."""

    done: int = 0
    failed: int = 0
    redone: int = 0
    busy: float = 0.0


class Attempts:
    """The running attempts that are known, and the latest of those that ended.

    `listener` hears of each attempt that begins and of each that ends, whoever says so.
    """

    def __init__(self) -> None:
        self.running: dict[str, LiveAttempt] = {}
        #: Tasks that wait for a child or a timer: their group, and since when.
        self.suspended: dict[str, tuple[str, float]] = {}
        self.parked: dict[str, LiveParked] = {}
        self.ended: deque[LiveAttempt] = deque(maxlen=SHOWN)
        self.marks: deque[LiveMark] = deque(maxlen=SHOWN)
        self.group_totals: defaultdict[str, Totals] = defaultdict(Totals)
        self.member_totals: Latest[Totals] = Latest()
        self.listener: PromiseReader | None = None
        #: The latest attempt known of a task, running or over.
        self._attempts: Latest[int] = Latest()
        #: How many claims of a task began nothing.
        self._vain: Latest[int] = Latest()
        #: Since when an interrupted task has waited first: it keeps its turn.
        self._interrupted: Latest[float] = Latest()

    # What is asked.

    def held_by(self, member: str) -> list[LiveAttempt]:
        held = [one for one in self.running.values() if one.member == member]
        return sorted(held, key=lambda one: one.task)

    def is_stale(self, task: str, version: int) -> bool:
        """Say whether a later claim than `version` is known, so that a hint of it is outdated."""
        running = self.running.get(task)
        return max(running.attempt if running else 0, self._attempts.get(task, 0)) > version

    def waits_since(self, task: str, otherwise: float) -> float:
        """Return the turn of a claimable task, as the time since which it waits.

        A job that was interrupted keeps its turn, even if its member is cut off and has not said
        so. A job that was suspended does not: it would overtake its own children.
        """
        if (one := self.running.get(task)) is not None:
            return one.created or one.since
        return self._interrupted.get(task, otherwise)

    # What happens.

    def mark(self, at: float, kind: MarkKind, member: str | None = None, task: str = "") -> None:
        job = root_of(task) if task else None
        self.marks.append(LiveMark(at=at, kind=kind, member=member, job=job))

    def claimed(self, attempt: LiveAttempt) -> None:
        """Note a granted claim. An earlier attempt of the task is over."""
        task, old = attempt.task, self.running.get(attempt.task)
        if old is not None and old.attempt > attempt.attempt:
            return
        if old is not None:
            self._leave(old)
            if old.attempt < attempt.attempt:
                self._end(old, UNKNOWN, attempt.since)
        since = self._interrupted.pop(task, None)
        if since is not None:
            attempt = msgspec.structs.replace(attempt, created=attempt.created or since)
            self.group_totals[attempt.group].redone += 1
        if task in self._vain:
            number = attempt.attempt - self._vain[task]
            attempt = msgspec.structs.replace(attempt, number=number)
        self.suspended.pop(task, None)
        self.parked.pop(task, None)
        self.running[task] = attempt
        self._attempts.note(task, attempt.attempt)
        if self.listener is not None:
            self.listener.began(attempt)

    def began_nothing(self, task: str) -> None:
        """Note that a member gave a task back that it could not begin."""
        self._vain.note(task, self._vain.get(task, 0) + 1)

    def over(self, now: float, task: str, attempt: int, outcome: str) -> LiveAttempt | None:
        """Note the end of an attempt; return it if it was known to run."""
        one = self.running.get(task)
        if one is None or one.attempt != attempt:
            return None
        self._leave(one)
        self._end(one, outcome, now)
        if outcome == "suspended":
            self.suspended[task] = (one.group, now)
        elif outcome not in OVER:
            self._interrupted.note(task, one.created or one.since)
        return one

    def reconcile(self, now: float, member: str, attempts: Iterable[LiveAttempt]) -> None:
        """Take `attempts` as all that the member holds."""
        listed = {one.task: one for one in attempts}
        for one in self.held_by(member):
            if one.task not in listed:
                self.over(now, one.task, one.attempt, UNKNOWN)
        for one in listed.values():
            known = self.running.get(one.task)
            if known is None or (known.attempt, known.member) != (one.attempt, member):
                self.claimed(one)

    def was_parked(self, now: float, parked: LiveParked) -> None:
        one = self.over(now, parked.task, parked.attempt, "died")
        group = one.group if one else parked.group
        self.parked[parked.task] = msgspec.structs.replace(parked, group=group)
        self.mark(now, "parked", one.member if one else None, parked.task)

    def redriven(self, now: float, task: str) -> None:
        self.parked.pop(task, None)
        self.mark(now, "redriven", task=task)

    # What a search shows.

    def found_running(
        self, at: float, found: Mapping[str, LiveAttempt], reporting: Collection[str]
    ) -> None:
        """Take the held tasks of a search begun at `at`. Members in `reporting` end their own."""
        for one in list(self.running.values()):
            shown = found.get(one.task)
            if one.member not in reporting and one.since < at and shown is None:
                self.over(at, one.task, one.attempt, UNKNOWN)
        for one in found.values():
            if one.attempt > self._attempts.get(one.task, 0):
                self.claimed(one)

    def found_suspended(self, at: float, found: Mapping[str, str]) -> None:
        """Take the suspended tasks of a search begun at `at`, with their groups."""
        later = {task: one for task, one in self.suspended.items() if one[1] >= at}
        fresh = {task: (group, at) for task, group in found.items() if task not in self.running}
        self.suspended = fresh | later

    def found_parked(self, at: float, found: Mapping[str, LiveParked]) -> None:
        """Take the parked tasks of a search begun at `at`."""
        later = {t: one for t, one in self.parked.items() if (one.since or 0.0) >= at}
        self.parked = {t: self.parked.get(t, one) for t, one in found.items()} | later

    def _leave(self, one: LiveAttempt) -> None:
        del self.running[one.task]
        if self.listener is not None:
            self.listener.ended(one)

    def _end(self, one: LiveAttempt, outcome: str, now: float) -> None:
        self.ended.append(msgspec.structs.replace(one, ended=now, outcome=outcome))
        member = self.member_totals.get(one.member) or Totals()
        self.member_totals.note(one.member, member)
        for totals in (self.group_totals[one.group], member):
            totals.done += outcome == "resolved"
            totals.failed += outcome == "rejected"
            totals.busy += now - one.since


def attempt_of(one: Holding, group: str, member: str) -> LiveAttempt:
    return LiveAttempt(
        task=one.task,
        job=root_of(one.task),
        attempt=one.attempt,
        function=one.function,
        group=group,
        member=member,
        since=one.since,
    )

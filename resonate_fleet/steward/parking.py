"""Which jobs are to blame when a member crashes, and which of them are parked.

A crash names no culprit: every job that the member held is a suspect. Blaming them all would park
innocent jobs that share members with a poison job again and again. So a crash counts only against
the suspects with the most crashes before. The poison job soon has more than all others.

A task is parked when it alone has the most crashes and they are more than the limit. Several tasks
may share the lead, as they do on a fleet of one member, where they always run together. Then one
of them is on trial: it is released, and the leases of the others are held back until its outcome
is known or until they lapse. If the steward dies in between, nothing has to be undone.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.journal import Parked, Redriven
from resonate_fleet.contract.live import Crash, CrashRecord, LiveParked
from resonate_fleet.contract.wire import Task
from resonate_fleet.steward.tools import Tools


class Judgement(msgspec.Struct, frozen=True):
    """What to do with the leases of a crashed member, by task id.

    `hold_back` are not released before `trial` is over.
    """

    blamed: tuple[str, ...] = ()
    park: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    hold_back: tuple[str, ...] = ()
    trial: str | None = None


def judge(counts: Mapping[str, int], suspects: Sequence[str], limit: int) -> Judgement:
    """Decide on the tasks that a crashed member held.

    `counts` are the crashes so far; a task that is not in it has none.
    """
    if not suspects:
        return Judgement()
    most = max(counts.get(task, 0) for task in suspects)
    blamed = tuple(task for task in suspects if counts.get(task, 0) == most)
    others = tuple(task for task in suspects if task not in blamed)
    if most + 1 <= limit:
        return Judgement(blamed=blamed, release=tuple(suspects))
    if len(blamed) == 1:
        return Judgement(blamed=blamed, park=blamed, release=others)
    # Not always the same one: it may be the one that crashes the others' members.
    trial = sorted(blamed)[most % len(blamed)]
    apart = tuple(task for task in blamed if task != trial)
    return Judgement(blamed=blamed, release=(*others, trial), hold_back=apart, trial=trial)


def without_member(record: CrashRecord, member: str) -> CrashRecord:
    """Return `record` without the crash of `member`."""
    kept = tuple(crash for crash in record.crashes if crash.member != member)
    return msgspec.structs.replace(record, crashes=kept)


def outlived(record: CrashRecord, state: str | None, at: float) -> bool:
    """Say whether `record` is of no more use. `state` is the task's in a search begun at `at`.

    None is the state of a task that is over. A parked task that is not halted any more was
    redriven: it begins with a clean record.
    """
    last = max((crash.at for crash in record.crashes), default=0.0)
    if max(last, record.parked_at or 0.0) >= at:
        return False
    return state is None or (record.parked_at is not None and state != "halted")


class Parking:
    """Keeps the records in `tools.memory`."""

    def __init__(self, tools: Tools, max_crashes: int) -> None:
        self._tools = tools
        self._records = tools.memory.records
        self._limit = max_crashes

    def judge(self, member: str, held: Sequence[Task]) -> Judgement:
        """Count the crash of `member` and save it, before anything else happens to its tasks.

        A member dies once; a steward that restarts may count the same death again.
        """
        if not held:
            return Judgement()
        before: dict[str, CrashRecord] = {}
        for task in held:
            old = self._records.get(task.id)
            if old is None or old.parked_at is not None:  # held again: somebody has redriven it
                old = CrashRecord(task.id)
            before[task.id] = without_member(old, member)
        counts = {task: record.count for task, record in before.items()}
        judgement = judge(counts, list(counts), self._limit)
        for task in held:
            blamed, earlier = task.id in judgement.blamed, before[task.id].crashes
            crash = Crash(member, task.version, self._tools.now(), blamed)
            self._records[task.id] = CrashRecord(task.id, (*earlier, crash))
        self._tools.save()
        return judgement

    async def park(self, task: Task) -> bool:
        """Halt a task that a dead member holds; return whether it was.

        `task.halt` names no version, so the task is read once more just before: one that has moved
        on is left alone.
        """
        current = await self._tools.insist(lambda: self._tools.wire.task(task.id), "quarantine")
        if current is None or (current.state, current.version) != ("acquired", task.version):
            return False
        if not await self._tools.tell("task.halt", task.id):
            return False
        now, record, job = self._tools.now(), self._records[task.id], root_of(task.id)
        self._records[task.id] = CrashRecord(task.id, record.crashes, parked_at=now)
        self._tools.save()
        self._tools.meters.quarantined.inc()
        line = Parked(job=job, task=task.id, crashes=record.count, members=record.members)
        self._tools.journal.write(line, level=30)
        parked = LiveParked(
            task=task.id, job=job, attempt=task.version, since=now, members=record.members
        )
        self._tools.attempts.was_parked(now, parked)
        return True

    async def pardon(self, member: str) -> None:
        """Take back the crash of `member`: it lives. Redrive what is within the limit again."""
        touched = [
            (task, record)
            for task, record in self._records.items()
            if any(crash.member == member for crash in record.crashes)
        ]
        for task, record in touched:
            fewer = without_member(record, member)
            if fewer.parked_at is not None and fewer.count <= self._limit:
                if await self._tools.tell("task.continue", task):
                    self._tools.journal.write(Redriven(job=root_of(task)))
                    self._tools.attempts.redriven(self._tools.now(), task)
                fewer = CrashRecord(task, fewer.crashes)
            self._records[task] = fewer
            if not fewer.crashes:
                del self._records[task]
        if touched:
            self._tools.save()

    async def follow_up(self, seen: Callable[[str], str | None], at: float) -> None:
        """Drop the records of what is over. Only tasks that searches since `at` missed are read.

        Raises:
            Unreachable, Refused: as the wire does.
        """
        before = len(self._records)
        for task, record in list(self._records.items()):
            state = seen(task)
            if state is None and (found := await self._tools.wire.task(task)):
                state = None if found.state == "fulfilled" else found.state
            if self._records.get(task) is not record:
                continue  # something happened to it meanwhile
            # Another steward has parked it: noted, so that a redrive clears the record here too.
            if record.parked_at is None and record.count > self._limit and state == "halted":
                self._records[task] = CrashRecord(task, record.crashes, parked_at=at)
            elif outlived(record, state, at):
                del self._records[task]
        if len(self._records) < before:
            self._tools.save()

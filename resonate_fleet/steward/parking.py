"""Counts the crashes of jobs and parks those to blame; `steward.quarantine` has the rule."""

from collections.abc import Callable, Sequence

from resonate_fleet.contract.ids import root_of
from resonate_fleet.contract.journal import Parked, Redriven
from resonate_fleet.contract.live import LiveParked
from resonate_fleet.contract.parked import Crash, CrashRecord
from resonate_fleet.contract.wire import Task
from resonate_fleet.steward.quarantine import (
    Judgement,
    judge,
    outlived,
    pardoned,
    with_crash,
    without_member,
)
from resonate_fleet.steward.tools import Tools


class Parking:
    """Keeps the records in `tools.memory`."""

    def __init__(self, tools: Tools, max_crashes: int) -> None:
        self._tools = tools
        self._records = tools.memory.records
        self._limit = max_crashes

    def judge(self, member: str, held: Sequence[Task]) -> Judgement:
        """Count the crash of `member` and save it, before anything else happens to its tasks."""
        if not held:
            return Judgement()
        before = {task.id: self._before(task.id, member) for task in held}
        counts = {task: record.count for task, record in before.items()}
        judgement = judge(counts, list(counts), self._limit)
        for task in held:
            blamed = task.id in judgement.blamed
            crash = Crash(member, task.version, self._tools.now(), blamed)
            self._records[task.id] = with_crash(before[task.id], crash)
        self._tools.save()
        return judgement

    def _before(self, task: str, member: str) -> CrashRecord:
        old = self._records.get(task)
        if old is None or old.parked_at is not None:
            return CrashRecord(task)  # parked once and held again: somebody has redriven it
        return without_member(old, member)

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
        record = self._records[task.id]
        self._records[task.id] = CrashRecord(task.id, record.crashes, parked_at=self._tools.now())
        self._tools.save()
        self._tools.meters.quarantined.inc()
        line = Parked(
            job=root_of(task.id), task=task.id, crashes=record.count, members=record.members
        )
        self._tools.journal.write(line, level=30)
        now = self._tools.now()
        parked = LiveParked(
            task=task.id, job=line.job, attempt=task.version, since=now, members=record.members
        )
        self._tools.work.was_parked(now, parked)
        return True

    async def pardon(self, member: str) -> None:
        """Take back the crash of `member`: it lives."""
        touched = [
            (task, record)
            for task, record in self._records.items()
            if any(crash.member == member for crash in record.crashes)
        ]
        for task, record in touched:
            fewer = without_member(record, member)
            if pardoned(fewer, self._limit):
                await self._redrive(task)
                fewer = CrashRecord(task, fewer.crashes)
            self._records[task] = fewer
            if not fewer.crashes:
                del self._records[task]
        if touched:
            self._tools.save()

    async def _redrive(self, task: str) -> None:
        if await self._tools.tell("task.continue", task):
            self._tools.journal.write(Redriven(job=root_of(task)))
            self._tools.work.redriven(self._tools.now(), task)

    async def follow_up(self, seen: Callable[[str], str | None], at: float) -> None:
        """Drop the records of what is over. Only tasks that searches since `at` missed are read.

        Raises:
            Unreachable, Refused: as the wire does.
        """
        before = len(self._records)
        for task, record in list(self._records.items()):
            state = seen(task) or await self._state(task)
            if self._records.get(task) is not record:
                continue  # something happened to it meanwhile
            # Another steward has parked it: noted, so that a redrive clears the record here too.
            if record.parked_at is None and record.count > self._limit and state == "halted":
                self._records[task] = CrashRecord(task, record.crashes, parked_at=at)
            elif outlived(record, state, at):
                del self._records[task]
        if len(self._records) < before:
            self._tools.save()

    async def _state(self, task: str) -> str | None:
        """Return the state of a task, None where it is over."""
        found = await self._tools.wire.task(task)
        return found.state if found and found.state != "fulfilled" else None

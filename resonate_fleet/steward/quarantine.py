"""Which jobs are to blame when a member crashes, and which of them are to be parked. Pure.

A crash names no culprit: every job that the member held is a suspect. Blaming them all would park
innocent jobs that share members with a poison job again and again. So a crash counts only against
the suspects with the most crashes before. The poison job soon has more than all others.

A task is parked when it alone has the most crashes and they are more than the limit. Several tasks
may share the lead, as they do on a fleet of one member, where they always run together. Then one
of them is on trial: it is released, and the leases of the others are held back until its outcome
is known or until they lapse. If the steward dies in between, nothing has to be undone.
"""

from collections.abc import Mapping, Sequence

import msgspec

from resonate_fleet.contract.parked import Crash, CrashRecord


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


def with_crash(record: CrashRecord, crash: Crash) -> CrashRecord:
    """Return `record` with `crash`, which replaces an earlier one of the same member.

    A member dies once; a steward that restarts may count the same death again.
    """
    others = without_member(record, crash.member).crashes
    return msgspec.structs.replace(record, crashes=(*others, crash))


def without_member(record: CrashRecord, member: str) -> CrashRecord:
    """Return `record` without the crash of `member`."""
    kept = tuple(crash for crash in record.crashes if crash.member != member)
    return msgspec.structs.replace(record, crashes=kept)


def pardoned(record: CrashRecord, limit: int) -> bool:
    """Say whether a task is parked though its crashes are within the limit."""
    return record.parked_at is not None and record.count <= limit


def outlived(record: CrashRecord, state: str | None, at: float) -> bool:
    """Say whether `record` is of no more use. `state` is the task's in a search begun at `at`.

    None is the state of a task that is over. A parked task that is not halted any more was
    redriven: it begins with a clean record.
    """
    last = max((crash.at for crash in record.crashes), default=0.0)
    if max(last, record.parked_at or 0.0) >= at:
        return False
    return state is None or (record.parked_at is not None and state != "halted")

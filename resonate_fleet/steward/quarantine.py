"""Which jobs are to blame when a member crashes, and which of them are to be parked. Pure.

A crash names no culprit: every job that the member held is a suspect. Blaming them all would
park innocents that share members with a poison job again and again. So a crash counts against
those suspects only that have crashed most often before; the poison job soon leads alone.

A task is parked when it leads alone and its crashes are more than the limit. Where several lead
(they always run together, on a fleet of one member, say), they are taken apart: one of them is
released, the leases of the others are left alone until that one's outcome is known, or until
they run out by themselves, whatever comes first. Nothing has to be undone if the steward dies
in between.
"""

from collections.abc import Mapping, Sequence

import msgspec

from resonate_fleet.contract.parked import Crash, CrashRecord


class Judgement(msgspec.Struct, frozen=True):
    """What to do with the leases of a crashed member, by task id.

    `hold_back` are not to be released before `trial` is over.
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
    # Not always the same one: it may be the very one that takes the others down.
    trial = sorted(blamed)[most % len(blamed)]
    apart = tuple(task for task in blamed if task != trial)
    return Judgement(blamed=blamed, release=(*others, trial), hold_back=apart, trial=trial)


def with_crash(record: CrashRecord, crash: Crash) -> CrashRecord:
    """Return `record` with `crash`, in place of one that the same member's death left before.

    A member dies once; a steward that was restarted in between may be told of it again.
    """
    others = without_member(record, crash.member).crashes
    return msgspec.structs.replace(record, crashes=(*others, crash))


def without_member(record: CrashRecord, member: str) -> CrashRecord:
    """Return `record` without the crash of `member`."""
    kept = tuple(crash for crash in record.crashes if crash.member != member)
    return msgspec.structs.replace(record, crashes=kept)


def pardoned(record: CrashRecord, limit: int) -> bool:
    """Say whether a parked task is within the limit after all."""
    return record.parked_at is not None and record.count <= limit


def outlived(record: CrashRecord, state: str | None, at: float) -> bool:
    """Say whether `record` is of no more use, by the task's `state` in a search begun at `at`.

    None is the state of a task that is over. A parked task that is no longer halted was redriven
    by hand: it starts afresh.
    """
    last = max((crash.at for crash in record.crashes), default=0.0)
    if max(last, record.parked_at or 0.0) >= at:
        return False
    return state is None or (record.parked_at is not None and state != "halted")

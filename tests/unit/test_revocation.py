"""What becomes of a body whose lease others have ended."""

import asyncio
import operator
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from resonate_fleet.member.attempts import Attempt, Callee, Table
from resonate_fleet.member.leases import Revocation
from resonate_fleet.member.on_loop import OnLoop
from resonate_fleet.member.threads import Threads
from tests.support.waiting import wait_until_async


class Held:
    """A member that holds attempts 1 of `a` and 2 of `b`."""

    def __init__(self) -> None:
        self.table, self.said = Table(), list[tuple[str, str]]()
        ledger: Any = SimpleNamespace(
            lost=lambda one, why: self.said.append((one.task, why)),
            ended=lambda one, outcome: self.said.append((one.task, outcome)),
        )
        on_loop: Any = SimpleNamespace(soon=lambda call: call())
        self.revocation = Revocation(self.table, ledger, on_loop)
        self.a, self.b = (Attempt(task, n, Callee("f", "f")) for task, n in (("a", 1), ("b", 2)))
        self.table.add(self.a)
        self.table.add(self.b)

    def stopped(self) -> list[bool]:
        return [self.a.body.stopping, self.b.body.stopping]


def test_a_lost_lease_is_told_and_its_body_stopped_once() -> None:
    held = Held()
    for _ in range(2):
        held.revocation.lost(held.b, "lapsed")
    assert held.said == [("b", "lapsed"), ("b", "lost")]
    assert (held.table.held(), held.stopped()) == ([held.a], [False, True])


def test_what_a_steward_has_handed_over_is_lost_and_later_attempts_stay() -> None:
    held = Held()
    held.revocation.released([("stranger", 1), ("b", 1), ("a", 1)])
    assert held.said == [("a", "taken"), ("a", "lost")]
    assert (held.table.held(), held.stopped()) == ([held.b], [True, False])


def test_a_cancelled_job_alone_is_stopped_and_none_whose_outcome_is_on_its_way() -> None:
    held = Held()
    with held.table.writing(held.a):
        held.revocation.cancelled(["a", "stranger"])
    assert (held.said, held.stopped()) == ([], [False, False])
    held.revocation.cancelled(["b"])
    assert held.said == [("b", "cancelled")]
    assert (held.table.held(), held.stopped()) == ([held.a], [False, True])


def test_nothing_may_be_written_under_a_lease_that_is_off_the_table() -> None:
    held = Held()
    held.revocation.lost(held.a, "lapsed")
    with held.table.writing(held.a) as may_write:
        assert not may_write


async def test_a_body_that_was_told_to_stop_counts_no_more_while_a_call_in_c_keeps_it() -> None:
    table, ended = Table(), list[str]()
    ledger: Any = SimpleNamespace(ended=lambda _attempt, outcome: ended.append(outcome))
    revocation = Revocation(table, ledger, OnLoop(asyncio.get_running_loop()))
    begins, ends = threading.Lock(), threading.Lock()
    begins.acquire()
    ends.acquire()
    in_c = operator.methodcaller("__call__")  # nothing of Python runs between the two
    attempt = Attempt("job", 1, Callee("wait", "wait"))
    run = Threads().start(lambda: any(map(in_c, (begins.release, ends.acquire))))
    attempt.body.calls.add(run)
    table.add(attempt)
    await wait_until_async(lambda: not begins.locked(), 5, "it is in C")
    revocation.cancelled(["job"])
    assert (ended, table.held()) == (["cancelled"], [])
    await wait_until_async(lambda: attempt.body.stopping, 5, "it is told to stop")
    assert not run.done
    ends.release()
    with pytest.raises(asyncio.CancelledError):
        await run.outcome()

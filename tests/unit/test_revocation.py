"""What becomes of a body whose lease others have ended."""

import asyncio
import operator
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from resonate_fleet.member.attempts import Attempt, Callee, Table
from resonate_fleet.member.onloop import OnLoop
from resonate_fleet.member.revocation import Revocation
from resonate_fleet.member.threads import Threads
from tests.support.waiting import wait_until_async


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

"""Threads for blocking bodies."""

import asyncio
import threading
import time
from contextvars import ContextVar

import pytest

from resonate_fleet.member.threads import Stopped, Threads

word: ContextVar[str] = ContextVar("word", default="none")


async def test_outcomes_come_back() -> None:
    threads = Threads()
    assert await threads.start(lambda: 42).future == 42
    with pytest.raises(ZeroDivisionError):
        await threads.start(lambda: 1 // 0).future


async def test_the_context_goes_along() -> None:
    word.set("given")
    assert await Threads().start(word.get).future == "given"


async def test_idle_threads_are_used_again() -> None:
    threads = Threads()
    used = {await threads.start(threading.get_ident).future for _ in range(100)}
    assert len(used) == 1, "a thread is idle before its result is there"


async def test_blocking_calls_run_side_by_side() -> None:
    threads, barrier = Threads(), threading.Barrier(8)
    runs = [threads.start(lambda: barrier.wait(5)) for _ in range(8)]
    assert sorted([await run.future for run in runs]) == list(range(8))


async def test_a_stopped_body_ends_and_its_thread_goes_on() -> None:
    threads, began, seen = Threads(), threading.Event(), list[str]()

    def body() -> None:
        try:
            began.set()
            while True:
                time.sleep(0.001)
        except Exception:  # noqa: BLE001 - what user code might do
            seen.append("swallowed")
        except Stopped:
            seen.append("stopped")
            raise

    run = threads.start(body)
    await asyncio.to_thread(began.wait, 5)
    run.stop()
    with pytest.raises(asyncio.CancelledError):
        await run.future
    assert seen == ["stopped"]
    for _ in range(5):
        assert await threads.start(lambda: "fine").future == "fine"


async def test_stopping_what_has_ended_hurts_nobody() -> None:
    threads = Threads()
    first = threads.start(threading.get_ident)
    await first.future
    second = threads.start(lambda: time.sleep(0.05))
    first.stop()
    await second.future

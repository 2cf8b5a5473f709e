"""Runs the loops of a process, so that the failure of one ends all; tasks and events of these."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

type Work = Coroutine[Any, Any, object]


async def work_until(end: Work, *loops: Work) -> None:
    """Run `loops` until `end` returns. Raise what one of them ends with."""
    last = asyncio.create_task(end)
    pending = {last, *map(asyncio.create_task, loops)}
    try:
        while not last.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        await cancel(pending)


def keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start `work` as a task that stands in `tasks` until it has ended: loops forget tasks."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


async def set_within(seconds: float, *events: asyncio.Event) -> bool:
    """Wait `seconds` at most until one of `events` is set; say whether one is."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return any(event.is_set() for event in events)

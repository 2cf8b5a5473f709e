"""Runs the loops of a process, so that the failure of one ends all, and waits for events."""

import asyncio
from collections.abc import Coroutine
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
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def set_within(seconds: float, *events: asyncio.Event) -> bool:
    """Wait `seconds` at most until one of `events` is set; say whether one is."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return any(event.is_set() for event in events)

"""The loops that a process consists of: none of them ends in silence."""

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

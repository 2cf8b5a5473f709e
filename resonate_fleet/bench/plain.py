"""The plain SDK worker of the published examples, with the functions of our own image.

    python -m resonate_fleet.bench.plain URL GROUP TASKS

`compute_something` waits on the event loop: a blocking body would stop the plain worker's loop
and with it everything else in that process. The SDK's own connection says in its log when its
stream is open.
"""

import asyncio
import logging
import sys
import time
from typing import Any

from resonate.context import Context
from resonate.resonate import Resonate

from resonate_fleet.bench.functions import child, parent


async def compute_something(_: Context, id: str, compute_cost: float) -> dict[str, Any]:
    began = time.time()
    if compute_cost:
        await asyncio.sleep(compute_cost)
    return {
        "id": id,
        "member": "plain",
        "attempt": 0,
        "began": began,
        "ended": time.time(),
        "cost": compute_cost,
    }


async def work(url: str, group: str, tasks: int) -> None:
    """Serve the group until the process is ended."""
    resonate = Resonate(url=url, group=group, max_concurrent_tasks=tasks)
    for one in (compute_something, parent, child):
        resonate.register(one)
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("resonate.connections.sse").setLevel(logging.INFO)
    asyncio.run(work(sys.argv[1], sys.argv[2], int(sys.argv[3])))

"""Functions that are a danger to their worker, for WORKER_FUNCTIONS=tests.support.bodies."""

import os
import time

from resonate.context import Context
from resonate.types import DurableRegistry

from worker import functions


def end_process(_: Context, id: str, seconds: float = 0.0) -> None:
    """End the process as the kernel's killer does when memory runs out: no goodbye, code 137."""
    time.sleep(seconds)
    os._exit(137)


def leave_child(_: Context, id: str, seconds: float) -> str:
    """Leave a forked child behind that outlives this process by some seconds."""
    if os.fork() == 0:
        time.sleep(10)
        os._exit(0)
    time.sleep(seconds)
    return id


def register(registry: DurableRegistry) -> None:
    functions.register(registry)
    registry.register(end_process)
    registry.register(leave_child)

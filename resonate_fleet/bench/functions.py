"""Functions of the worker image and those that only a bench needs.

`end_process` ends its process; `parent` calls children and waits for all of them.
"""

import os
import time
from typing import Any

from resonate.context import Context
from resonate.types import DurableRegistry

from resonate_fleet import example


def end_process(_: Context, _id: str, seconds: float) -> None:
    """End the process as the kernel's killer does when memory runs out: no goodbye, code 137."""
    time.sleep(seconds)
    os._exit(137)


async def parent(ctx: Context, children: int) -> int:
    """Call that many children of the same group, all at once; return how many answered."""
    calls = [ctx.rpc(child, number) for number in range(children)]
    return len([await call for call in calls])


def child(_: Context, number: int) -> int:
    return number


def register(registry: DurableRegistry) -> None:
    example.register(registry)
    register_family(registry)
    registry.register(end_process)


def register_family(registry: Any) -> None:
    """Register parent and child, with the kit's registry or the SDK's."""
    registry.register(parent)
    registry.register(child)

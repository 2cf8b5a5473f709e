"""Functions of the worker image and those that only a bench needs.

`end_process` ends its process; `parent` calls children and waits for all of them. The rest is what
a cancel may find at work.
"""

import asyncio
import os
import time
from datetime import timedelta

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


def busy_in_thread(_: Context, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


async def waits_on_loop(_: Context, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def busy_in_step(ctx: Context, seconds: float) -> None:
    await ctx.run(busy_in_thread, seconds)


async def sleeps(ctx: Context, seconds: float) -> None:
    await ctx.sleep(timedelta(seconds=seconds))


async def awaits_busy(ctx: Context, seconds: float) -> None:
    await ctx.rpc(busy_in_thread, seconds)


def register(registry: DurableRegistry) -> None:
    example.register(registry)
    own = (end_process, parent, child)
    for one in (*own, busy_in_thread, waits_on_loop, busy_in_step, sleeps, awaits_busy):
        registry.register(one)

"""The durable functions of the worker image. They know their job and nothing else."""

import time
from datetime import timedelta

from resonate.context import Context
from resonate.types import DurableRegistry

from resonate_fleet import Result


def compute_something(_: Context, id: str, compute_cost: float) -> Result:
    """Block for `compute_cost` seconds, as a computation would."""
    time.sleep(compute_cost)
    return Result(id=id, cost=compute_cost)


async def compute_durably(ctx: Context, id: str, compute_cost: float) -> Result:
    """Wait for `compute_cost` seconds in a durable sleep, which no member has to live through."""
    await ctx.sleep(timedelta(seconds=compute_cost))
    return Result(id=id, cost=compute_cost)


async def compute_on_loop(_: Context, id: str, compute_cost: float) -> Result:
    """Block the member's event loop for `compute_cost` seconds: a mistake, there to be seen.

    An `async def` that computes instead of waiting keeps its member from all else meanwhile.
    """
    time.sleep(compute_cost)  # noqa: ASYNC251 - what this function is for
    return Result(id=id, cost=compute_cost)


async def compute_in_steps(ctx: Context, id: str, compute_cost: float, steps: int = 3) -> Result:
    """Block for `compute_cost` seconds in `steps` equal parts, each checkpointed when done."""
    for number in range(steps):
        await ctx.run(compute_step, number, compute_cost / steps)
    return Result(id=id, cost=compute_cost, steps=steps)


def compute_step(_: Context, number: int, cost: float) -> int:
    """Block for `cost` seconds and return `number`, the step's own."""
    time.sleep(cost)
    return number


def register(registry: DurableRegistry) -> None:
    """Register the functions under their names, version 1."""
    registry.register(compute_something)
    registry.register(compute_durably)
    registry.register(compute_in_steps)
    registry.register(compute_on_loop)

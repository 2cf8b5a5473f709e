"""Functions that call others of their own group."""

from resonate.context import Context
from resonate.types import DurableRegistry


async def parent(ctx: Context, _id: str, children: int) -> int:
    """Call that many children at once; return how many answered."""
    calls = [ctx.rpc(child, number) for number in range(children)]
    return len([await call for call in calls])


def child(_: Context, number: int) -> int:
    return number


def register(registry: DurableRegistry) -> None:
    registry.register(parent)
    registry.register(child)

"""Durable functions that are not ours: what `docs/your-own-functions.md` shows, to the letter."""

from resonate.context import Context
from resonate.types import DurableRegistry


def shrink(_: Context, picture: str, width: int) -> str:
    return f"{picture}@{width}"


async def thumbnails(ctx: Context, picture: str, widths: list[int]) -> list[str]:
    return [await ctx.run(shrink, picture, width) for width in widths]


def register(registry: DurableRegistry) -> None:
    registry.register(thumbnails)

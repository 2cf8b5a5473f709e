"""The functions of `orders`, whose member stands still between the write and the job's end."""

import time

from resonate.context import Context

from resonate_fleet.member.registry import Registry
from tests.support import orders


def book(ctx: Context, customer: str, amount: int) -> int:
    orders.book(ctx, customer, amount)
    time.sleep(600)
    raise AssertionError("nobody waits so long")


def register(registry: Registry) -> None:
    registry.register(book)
    registry.lifespan(orders.pool)

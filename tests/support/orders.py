"""A user's functions with a database: what `docs/your-own-functions.md` shows, to the letter."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg_pool import ConnectionPool
from resonate.context import Context

from resonate_fleet import Registry


def book(ctx: Context, customer: str, amount: int) -> int:
    """Book an amount once, however often the job runs; return the booking's number."""
    with ctx.get_dependency(ConnectionPool).connection() as db:
        db.execute(
            "INSERT INTO bookings (job, customer, amount) VALUES (%s, %s, %s)"
            " ON CONFLICT (job) DO NOTHING",
            (ctx.info.id, customer, amount),
        )
        rows = db.execute("SELECT number FROM bookings WHERE job = %s", (ctx.info.id,))
        return int(rows.fetchall()[0][0])


@contextmanager
def pool() -> Iterator[ConnectionPool]:
    with ConnectionPool(os.environ["ORDERS_DB"]) as opened:
        opened.wait(timeout=5)
        yield opened


def register(registry: Registry) -> None:
    registry.register(book)
    registry.lifespan(pool)

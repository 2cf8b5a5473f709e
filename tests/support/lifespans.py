"""Functions whose module opens and closes things, and notes it in the file LIFESPAN_NOTES."""

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from resonate.context import Context

from resonate_fleet.member.registry import Registry

#: What goes wrong: `open`, `open-hangs`, `close`, `close-hangs`.
TROUBLE = os.environ.get("LIFESPAN_TROUBLE", "")


class Settings(dict[str, str]):
    """A dependency that is there from the start."""


class Client:
    """A dependency that is opened."""

    is_open = False


def note(text: str) -> None:
    with Path(os.environ["LIFESPAN_NOTES"]).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def use(ctx: Context, _: str, seconds: float) -> str:
    note("begin")
    time.sleep(seconds)
    assert ctx.get_dependency(Client).is_open
    note("end")
    return ctx.get_dependency(Settings)["greeting"]


@contextmanager
def first() -> Iterator[None]:
    note("first open")
    yield
    note("first closed")


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    trouble("open")
    made = Client()
    made.is_open = True
    note("client open")
    yield made
    made.is_open = False
    trouble("close")
    note("client closed")


@contextmanager
def slow() -> Iterator[None]:
    if TROUBLE == "open-hangs":
        note("hangs")
        time.sleep(600)
    yield
    if TROUBLE == "close-hangs":
        time.sleep(600)


def trouble(where: str) -> None:
    if where == TROUBLE:
        raise ValueError(f"no luck with {where}")


def register(registry: Registry) -> None:
    registry.register(use)
    registry.dependency(Settings(greeting="hello"))
    registry.lifespan(first)
    registry.lifespan(client)
    registry.lifespan(slow)

"""Functions that are hard on their worker, for WORKER_FUNCTIONS=tests.support.awkward."""

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from resonate.context import Context
from resonate.types import DurableRegistry


def add(_: Context, id: str, left: int, right: int) -> int:
    return left + right


async def block_the_loop(_: Context, id: str, seconds: float) -> str:
    time.sleep(seconds)  # noqa: ASYNC251 - what this function is for
    return id


async def wait_on_loop(_: Context, id: str, seconds: float, file: str = "") -> str:
    """Wait without blocking, and note in `file` how it ended."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        _note(file, "cancelled")
        raise
    _note(file, "finished")
    return id


def count_up(_: Context, id: str, seconds: float, file: str) -> str:
    """Compute in small steps of Python code, and note in `file` how it ended."""
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            time.sleep(0.01)
    except BaseException as error:
        _note(file, type(error).__name__)
        raise
    _note(file, "finished")
    return id


def fail(_: Context, id: str, text: str) -> None:
    raise ValueError(text)


def fail_once(_: Context, id: str, file: str) -> str:
    """Fail while `file` is not there, and make it."""
    if Path(file).exists():
        return id
    _note(file, "failed")
    raise ValueError("not this time")


def leave(_: Context, id: str) -> None:
    sys.exit(3)


def hold_interpreter(_: Context, id: str, seconds: float) -> str:
    """Wait in C without giving the interpreter's lock away: no thread of the member goes on."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    return id


def crashes(_: Context, id: str) -> None:
    ctypes.string_at(0)


async def stops_the_loop(_: Context, id: str) -> str:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.05)
    return id


async def takes_signals(_: Context, id: str) -> str:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return id


async def makes_tasks_eager(ctx: Context, id: str) -> str:
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    return id


async def exits_in_a_callback(_: Context, id: str) -> str:
    asyncio.get_running_loop().call_soon(sys.exit, 5)
    await asyncio.sleep(0.05)
    return id


def forks(_: Context, id: str) -> str:
    """Return in both processes, as a fork without an end does."""
    return id if os.fork() else "the child's"


async def forks_on_the_loop(_: Context, id: str) -> str:
    return id if os.fork() else "the child's"


def fork_that_exits(_: Context, id: str) -> int:
    if (child := os.fork()) == 0:
        sys.exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fork_that_raises(_: Context, id: str) -> int:
    if (child := os.fork()) == 0:
        raise ValueError("in the child")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def fork_that_raises_on_the_loop(_: Context, id: str) -> int:
    return fork_that_raises(_, id)


def unwritable(_: Context, id: str) -> object:
    return object()


async def cancel_itself(_: Context, id: str) -> None:
    raise asyncio.CancelledError


async def two_steps(ctx: Context, id: str, file: str) -> list[str]:
    """Checkpoint a step, wait durably, then another step; each notes itself in `file`."""
    first = await ctx.run(_step, file, "first")
    await ctx.sleep(timedelta(seconds=0.3))
    return [id, first, await ctx.run(_step, file, "second")]


def _step(_: Context, file: str, name: str) -> str:
    _note(file, name)
    return name


def chat(_: Context, id: str) -> str:
    logging.getLogger("my.own").warning("half way through %s", id)
    return id


def versioned_1(_: Context, id: str) -> str:
    return "one"


def versioned_2(_: Context, id: str) -> str:
    return "two"


def _note(file: str, text: str) -> None:
    if file:
        with Path(file).open("a", encoding="utf-8") as notes:
            notes.write(text + "\n")


def register(registry: DurableRegistry) -> None:
    functions: list[Any] = [
        add, block_the_loop, wait_on_loop, count_up, fail, fail_once, leave, unwritable,
        cancel_itself, two_steps, chat, hold_interpreter, stops_the_loop, exits_in_a_callback,
        forks, forks_on_the_loop, takes_signals, makes_tasks_eager, crashes,
        fork_that_exits, fork_that_raises, fork_that_raises_on_the_loop,
    ]  # fmt: skip
    for one in functions:
        registry.register(one)
    registry.register(versioned_1, name="versioned")
    registry.register(versioned_2, name="versioned", version=2)

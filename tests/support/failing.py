"""Functions that fail in every way that was thought of, and the error that each must end with."""

import asyncio
import time
from datetime import timedelta
from typing import Any, NoReturn

from resonate.context import Context
from resonate.error import PlatformError, Suspended
from resonate.types import DurableRegistry

from resonate_fleet.contract.words import REQUEST_BYTES as LIMIT
from worker import functions


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class EvilPickleError(Exception):
    def __reduce__(self) -> Any:
        return (_exit, ())


class ExitingTextError(Exception):
    def __str__(self) -> str:
        raise SystemExit(7)


class OwnBaseError(BaseException):
    pass


class Untouchable:
    """A value that ends whoever looks at it."""

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(11)


class UntouchableError(Untouchable, Exception):
    pass


class ExitingNameType(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # what this is for
        raise SystemExit(12)


class ExitingNameError(Exception, metaclass=ExitingNameType):
    pass


def _exit() -> NoReturn:
    raise SystemExit(9)


def stop_iteration(_: Context, id: str) -> int:
    return next(number for number in range(3) if number > 3)


async def stop_iteration_on_loop(_: Context, id: str) -> NoReturn:
    raise StopIteration


def lone_surrogate(_: Context, id: str) -> NoReturn:
    raise ValueError("a name that cannot be shown: \udcff")


def mute(_: Context, id: str) -> NoReturn:
    raise MuteError


def exiting_text(_: Context, id: str) -> NoReturn:
    raise ExitingTextError


def evil_pickle(_: Context, id: str) -> NoReturn:
    raise EvilPickleError


def unpicklable(_: Context, id: str) -> NoReturn:
    raise ValueError(lambda: None)


def endless(_: Context, id: str) -> NoReturn:
    raise ValueError("x" * 3_000_000)


def recursion(ctx: Context, id: str) -> Any:
    return recursion(ctx, id)


def key(_: Context, id: str) -> NoReturn:
    raise KeyError("missing")


def own_base(_: Context, id: str) -> NoReturn:
    raise OwnBaseError("mine")


def generator_exit(_: Context, id: str) -> NoReturn:
    raise GeneratorExit


def keyboard(_: Context, id: str) -> NoReturn:
    raise KeyboardInterrupt


async def keyboard_on_loop(_: Context, id: str) -> NoReturn:
    raise KeyboardInterrupt


async def cancels_itself(_: Context, id: str) -> NoReturn:
    raise asyncio.CancelledError


async def cancels_its_task(_: Context, id: str) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


async def fails_in_a_group(_: Context, id: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(stop_iteration_on_loop(_, id))


async def own_base_in_a_step(ctx: Context, id: str) -> None:
    await ctx.run(own_base, id)


def circle(_: Context, id: str) -> NoReturn:
    """Raise an error that is the cause of its cause."""
    first, second = ValueError("the first"), ValueError("the second")
    first.__cause__, second.__cause__ = second, first
    raise first


def groups(_: Context, id: str) -> NoReturn:
    raise BaseExceptionGroup("two", [SystemExit(3), ValueError("inner")])


async def on_another_loop(ctx: Context, id: str) -> Any:
    async def step() -> Any:
        return await ctx.run(child_id, id)

    return await asyncio.to_thread(lambda: asyncio.run(step()))


def nan(_: Context, id: str) -> float:
    return float("nan")


def deep_infinity(_: Context, id: str) -> Any:
    return {"rows": [{"x": None}, {"x": -float("inf")}]}


def cyclic(_: Context, id: str) -> Any:
    found: list[Any] = []
    found.append(found)
    return found


def opaque(_: Context, id: str) -> object:
    return object()


def surrogate_value(_: Context, id: str) -> str:
    return "\ud800"


def untouchable(_: Context, id: str) -> object:
    return Untouchable()


async def untouchable_on_loop(_: Context, id: str) -> object:
    return Untouchable()


def untouchable_error(_: Context, id: str) -> NoReturn:
    raise UntouchableError


def exiting_name(_: Context, id: str) -> NoReturn:
    raise ExitingNameError


def platform(_: Context, id: str) -> NoReturn:
    """Raise the SDK's own signal, and with another cause than the SDK's."""
    raise PlatformError("mine")  # type: ignore[arg-type]  # what this is for


def platform_without_words(_: Context, id: str) -> NoReturn:
    raise PlatformError([ValueError()])  # type: ignore[list-item]  # what this is for


def suspended(_: Context, id: str) -> NoReturn:
    raise Suspended


async def nan_in_a_step(ctx: Context, id: str) -> float:
    return await ctx.run(nan, id)


async def infinity_for_a_child(ctx: Context, id: str) -> Any:
    return await ctx.rpc("fine", float("inf"))


async def infinity_for_a_detached(ctx: Context, id: str) -> Any:
    return await ctx.detached("fine", [float("inf")])


def _declares_text(_: Context) -> str:
    return 7  # type: ignore[return-value]  # a wrong declaration is what this is for


async def wrong_declaration(ctx: Context, id: str) -> str:
    return await ctx.run(_declares_text)


def large(_: Context, id: str) -> str:
    return "x" * LIMIT


async def large_call(ctx: Context, id: str) -> Any:
    return await ctx.rpc("fine", "x" * LIMIT)


async def large_step(ctx: Context, id: str) -> Any:
    return await ctx.run(large, id)


async def nobody_has_the_step(ctx: Context, id: str) -> Any:
    return await ctx.run("no_such_function", id)


async def refused_child(ctx: Context, id: str) -> Any:
    return await ctx.options(target="nowhere://").rpc("fine", id)


def fails_anew(_: Context, id: str) -> NoReturn:
    """Raise another error each time."""
    raise ValueError(time.monotonic_ns())


async def child_id(ctx: Context, id: str) -> Any:
    return await ctx.run(_declares_text)


async def sleeps(ctx: Context, id: str) -> str:
    await ctx.sleep(timedelta(seconds=60))
    return id


#: Function and a part of the error that its job must end with.
FAILURES = {
    stop_iteration: "StopIteration",
    stop_iteration_on_loop: "StopIteration",
    lone_surrogate: "cannot be shown: \\udcff",
    mute: "MuteError: (its text cannot be had: RuntimeError)",
    exiting_text: "ExitingTextError: (its text cannot be had: SystemExit)",
    evil_pickle: "EvilPickleError",
    unpicklable: "<lambda>",
    endless: "characters",
    recursion: "maximum recursion depth",
    key: "missing",
    own_base: "OwnBaseError: mine",
    generator_exit: "GeneratorExit",
    keyboard: "tried to end the process",
    keyboard_on_loop: "tried to end the process",
    cancels_itself: "CancelledError",
    cancels_its_task: "CancelledError",
    fails_in_a_group: "unhandled errors in a TaskGroup",
    own_base_in_a_step: "OwnBaseError: mine",
    circle: "the first",
    groups: "BaseExceptionGroup: two",
    on_another_loop: "belongs to the event loop",
    nan: "nan returned what JSON cannot hold: nan",
    deep_infinity: "what JSON cannot hold: -inf",
    cyclic: "maximum recursion depth",
    opaque: "cannot encode object of type object",
    surrogate_value: "surrogates not allowed",
    untouchable: "cannot be looked at: SystemExit",
    untouchable_on_loop: "SystemExit(11)",
    untouchable_error: "cannot be looked at: SystemExit",
    exiting_name: "cannot be looked at: SystemExit",
    platform: "m",
    platform_without_words: "ValueError",
    suspended: "the body ended early",
    nan_in_a_step: "nan returned what JSON cannot hold: nan",
    infinity_for_a_child: "was given what JSON cannot hold: inf",
    infinity_for_a_detached: "was given what JSON cannot hold: inf",
    wrong_declaration: "_declares_text returned what it does not declare",
    large: "the result makes a request of 2.8 MB, and more than 2 MiB is not taken",
    large_call: "the call of the child job:1 makes a request of 2.8 MB",
    large_step: "the result of the step job:1 makes a request of 2.8 MB",
    nobody_has_the_step: "function not found: no_such_function",
    refused_child: "task.fence: 400",
}


def register(registry: DurableRegistry) -> None:
    """Register them all, beside the example's."""
    functions.register(registry)
    for one in FAILURES:
        registry.register(one)

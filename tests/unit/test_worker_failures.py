"""Whatever leaves a body: its job ends with a result, or with an error that says why."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from resonate.codec import Codec, NoopEncryptor
from resonate.context import Context
from resonate.types import Value as SdkValue

from resonate_fleet.contract.wire import Raw
from resonate_fleet.contract.words import REQUEST_BYTES as LIMIT
from tests.support.model import ModelWire
from tests.support.rig import Rig


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
    nan: "nan returned what JSON cannot hold: nan",
    deep_infinity: "what JSON cannot hold: -inf",
    cyclic: "maximum recursion depth",
    opaque: "cannot encode object of type object",
    surrogate_value: "surrogates not allowed",
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


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig(WORKER_RETRIES="1", WORKER_RETRY_DELAY="0", functions=[*FAILURES, child_id, sleeps])
    made.sdk.start()
    yield made
    await made.sdk.stop()
    made.model.close()


def error_of(promise: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(promise["value"]["data"]))
    return found


@pytest.mark.parametrize("function", FAILURES, ids=lambda one: one.__name__)
async def test_a_job_whose_body_fails_in_any_way_is_rejected_with_the_reason(
    rig: Rig, function: Any
) -> None:
    promise = await rig.run(function.__name__)
    assert promise["state"] == "rejected"
    error = error_of(promise)
    assert FAILURES[function] in error["message"]
    assert FAILURES[function].split("\n")[0] in rig.lines.of("job.ended")[-1]["error"]
    assert rig.model.task("job")["version"] <= 3
    # Whoever awaits it gets an exception, and neither ends nor hangs.
    decoded = Codec(NoopEncryptor()).decode_error(SdkValue(data=promise["value"]["data"]))
    assert isinstance(decoded, BaseException)
    assert await rig.run("fine", "another") is not None


async def test_an_error_keeps_its_traceback_from_the_users_first_frame_on(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    error = error_of(await rig.run("own_base_in_a_step"))
    assert "in own_base" in error["stack"]
    first = error["stack"].splitlines()[1]
    assert "test_worker_failures.py" in first
    assert len(error["stack"]) < 10_000
    assert not [one for one in caplog.records if one.name.startswith("resonate.")]


async def test_a_call_that_cannot_be_read_ends_its_job(rig: Rig) -> None:
    rig.model.job("unread", {"data": "bm90IGpzb24="})
    for version in range(3):
        rig.intake.told.clear()
        rig.intake.hint("unread", version)
        await rig.told("done", "unread")
    promise = rig.model.promise("unread")
    assert promise["state"] == "rejected"
    assert "call cannot be read" in error_of(promise)["message"]


@pytest.mark.parametrize("status", [404, 403, 308])
async def test_a_lasting_page_of_somebody_else_is_said_and_costs_no_result(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """A proxy answers in the server's place for a while; then the result is written."""
    left = [3]
    post = ModelWire.post

    async def refuse(wire: ModelWire, body: str | bytes) -> Raw:
        if '"task.fulfill"' in str(body) and left[0]:
            left[0] -= 1
            return Raw(status, b"<html>no</html>")
        return await post(wire, body)

    monkeypatch.setattr(ModelWire, "post", refuse)
    assert (await rig.run("fine"))["state"] == "resolved"
    assert left == [0]
    assert rig.model.task("job")["version"] == 1


@pytest.mark.parametrize("function", ["child_id", "sleeps"])
async def test_a_server_that_refuses_the_sdks_child_ids_ends_jobs_with_its_words(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """As the server's main branch does, where jobs without children go on."""
    post, words = ModelWire.post, "Promise ID must be prefixed by resonate:origin"

    async def refuse(wire: ModelWire, body: str | bytes) -> Raw:
        request = json.loads(body)
        if request["kind"] != "task.fence":
            return await post(wire, body)
        head = {"corrId": request["head"]["corrId"], "status": 400}
        return Raw(400, json.dumps({"kind": "task.fence", "head": head, "data": words}).encode())

    monkeypatch.setattr(ModelWire, "post", refuse)
    promise = await rig.run(function)
    assert promise["state"] == "rejected"
    assert words in error_of(promise)["message"]
    assert rig.model.task("job")["version"] == 3
    assert (await rig.run("fine", "without"))["state"] == "resolved"


async def test_a_smaller_limit_of_a_proxy_rejects_the_job_too(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = ModelWire.post

    async def refuse(wire: ModelWire, body: str | bytes) -> Raw:
        return Raw(413, b"<html>too large</html>") if len(body) > 1000 else await post(wire, body)

    monkeypatch.setattr(ModelWire, "post", refuse)
    assert "is not taken (413)" in error_of(await rig.run("recursion"))["message"]

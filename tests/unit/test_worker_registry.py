"""What a functions module may register, and how functions are wrapped."""

import asyncio
import re
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from resonate.context import Context
from resonate.dependencies import DependencyMap
from resonate.durable import DurableFunction
from resonate.error import SerializationError
from resonate.retry import Never
from resonate.testing import root_context
from resonate.types import Args

from resonate_fleet.contract.calls import Result
from resonate_fleet.member.attempts import Attempt, Callee, current
from resonate_fleet.member.bodies import Bodies
from resonate_fleet.member.failures import EscapedError, UnwritableError
from resonate_fleet.member.registry import BadFunctions, Registry, load
from tests.support import thumbnails
from worker import functions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def attempt() -> Iterator[Attempt]:
    made = Attempt("job", 3, Callee("f", "f"))
    token = current.set(made)
    yield made
    current.reset(token)


async def run(fn: Any, *args: Any, bodies: Bodies | None = None, **deps: Any) -> Any:
    """Run a wrapped function as the SDK does: arguments as they come from the wire."""
    dependencies = DependencyMap()
    for value in deps.values():
        dependencies.insert(value)
    context = root_context(id="job", deps=dependencies)
    wrapped = (bodies or Bodies()).wrap(fn)
    return await DurableFunction(wrapped).invoke(context, Args(args=args))


@pytest.mark.usefixtures("attempt")
async def test_plain_functions_run_on_threads_and_coroutines_on_the_loop() -> None:
    def plain(_: Context) -> int:
        return threading.get_ident()

    async def coroutine(_: Context) -> int:
        return threading.get_ident()

    assert await run(plain) != threading.get_ident()
    assert await run(coroutine) == threading.get_ident()


@pytest.mark.usefixtures("attempt")
async def test_annotations_in_text_still_shape_the_arguments() -> None:
    def later(_: "Context", pause: "timedelta", rest: "Unknown") -> object:  # type: ignore[name-defined] # noqa: F821
        return [pause.total_seconds(), rest]

    assert await run(later, "PT1.5S", {"a": 1}) == [1.5, {"a": 1}]
    with pytest.raises(SerializationError):
        await run(later, "soon", None)


async def test_entering_is_noted_and_steps_are_told(attempt: Attempt) -> None:
    steps: list[tuple[Attempt, str]] = []
    bodies = Bodies(lambda one, promise: steps.append((one, promise)))
    result = await run(thumbnails.thumbnails, "cat.png", [64, 128], bodies=bodies)
    assert result == ["cat.png@64", "cat.png@128"]
    assert attempt.body.entered
    assert steps == [(attempt, "job:1"), (attempt, "job:2")]


async def test_steps_run_on_threads_too(attempt: Attempt) -> None:
    async def outer(ctx: Context) -> bool:
        inner = await ctx.options(timeout=timedelta(minutes=1)).run(_thread)
        return inner != threading.get_ident()

    assert await run(outer)
    assert not attempt.body.calls


def _thread(_: Context) -> int:
    return threading.get_ident()


async def test_a_stopped_attempt_ends_its_thread(attempt: Attempt) -> None:
    began = threading.Event()

    def forever(_: Context) -> None:
        began.set()
        while True:
            threading.Event().wait(0.001)

    task = asyncio.create_task(run(forever))
    await asyncio.to_thread(began.wait, 5)
    attempt.body.stop()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not attempt.body.calls


@pytest.mark.usefixtures("attempt")
async def test_results_that_cannot_travel_and_exits_are_errors() -> None:
    with pytest.raises(UnwritableError):
        await run(lambda _: object())
    with pytest.raises(EscapedError, match=r"SystemExit\(3\)"):
        await run(_leave)


async def _leave(_: Context) -> None:
    raise SystemExit(3)


@pytest.mark.usefixtures("attempt")
async def test_the_result_says_who_when_and_which_attempt() -> None:
    before = time.time()
    bodies = Bodies(member="me-1")
    result = await run(functions.compute_something, "job", 0.01, bodies=bodies)
    own = msgspec.structs.replace(result, began=0.0, ended=0.0)
    assert own == Result(id="job", member="me-1", attempt=3, cost=0.01)
    assert before <= result.began <= result.ended - 0.01 <= time.time()


def test_a_module_is_loaded() -> None:
    registry = Registry()
    load("tests.support.thumbnails", registry)
    assert registry.names() == ["thumbnails"]
    assert registry.functions == {"thumbnails"}
    assert registry.callee("thumbnails", 1) == Callee("thumbnails", "thumbnails", suspends=True)
    unknown = registry.callee("thumbnails", 2)
    assert (unknown.label, unknown.known) == ("thumbnails@2", False)


def test_register_is_a_decorator_too_and_returns_the_function() -> None:
    registry = Registry()

    @registry.register(name="other", version=2)
    def mine(_: Context) -> None: ...

    assert mine.__name__ == "mine"
    assert registry.names() == ["other@2"]
    assert registry.callee("other", 2) == Callee("other", "other@2")


def test_what_cannot_be_registered() -> None:
    registry = Registry()
    registry.register(_thread)
    with pytest.raises(BadFunctions, match="'_thread' is registered twice in version 1"):
        registry.register(_leave, name="_thread")
    with pytest.raises(BadFunctions, match="has no function `register`"):
        load("json", Registry())
    with pytest.raises(BadFunctions, match="ModuleNotFoundError"):
        load("there_is_no_such_module", Registry())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def register(_):\n    1 +\n", 2),
        ("def register(_):\n    eval('1 +')\n", 2),
        ("def register(_):\n\n    raise SyntaxError('no')\n", 3),
    ],
)
def test_a_syntax_error_is_said_with_a_line_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: int
) -> None:
    (tmp_path / "with_mistakes.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "with_mistakes", raising=False)
    place = f" ({tmp_path}/with_mistakes.py:{line})"
    with pytest.raises(BadFunctions, match=re.escape(place) + "$"):
        load("with_mistakes", Registry())


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 5},
        {"name": ["a"]},
        {"version": "1"},
        {"version": 0},
        {"version": 1.5},
        {"limit": 2.0},
        {"retry_policy": "Never"},
        {"retry_policy": Never},
    ],
)
def test_an_argument_of_another_kind_is_said_with_its_value(wrong: dict[str, Any]) -> None:
    (value,) = wrong.values()
    with pytest.raises(BadFunctions, match=re.escape(f"{value!r}; accepted: ")):
        Registry().register(_thread, **wrong)


def test_the_documented_example_is_the_tested_one() -> None:
    page = (ROOT / "docs/your-own-functions.md").read_text(encoding="utf-8")
    shown = page.partition("```python\n")[2].partition("```")[0]
    module = Path(thumbnails.__file__).read_text(encoding="utf-8")
    assert module.partition('"""\n\n')[2] == shown
    assert len([line for line in shown.splitlines() if line]) <= 15

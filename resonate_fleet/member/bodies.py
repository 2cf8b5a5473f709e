"""How functions run in a member: what stands between the SDK and a user's code."""

import asyncio
import contextlib
import functools
import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog
from resonate.codec import enc_hook
from resonate.context import Context
from resonate.error import ResonateError

from resonate_fleet.member.attempts import Attempt, current
from resonate_fleet.member.threads import Run, Stopped, Threads

Function = Callable[..., Any]
#: Told that a step (a child run by `ctx.run`) begins in an attempt.
StepBegan = Callable[[Attempt, str], None]
#: Told that nothing of an attempt runs any more: its outcome is all that is left to do.
Over = Callable[[str], None]
log = structlog.get_logger()


class UnwritableError(ResonateError):
    """A function returned what JSON cannot hold. Final: a retry would return the same."""


class ExitedError(Exception):
    """A function called `sys.exit` or the like."""


class Bodies:
    """Wraps functions for the SDK, which sees their own signatures.

    Plain functions run on threads, so that none of them can stop the event loop; coroutine
    functions run on the loop. Both get a context whose `run` does the same for their steps.
    `over(task)` is called when a job's plain function has returned; a coroutine function may leave
    steps behind that still run.
    """

    def __init__(
        self,
        step_began: StepBegan = lambda _attempt, _promise: None,
        over: Over = lambda _task: None,
    ) -> None:
        # By identity: registered functions stay for good; steps are wrapped anew each time.
        self._kept: dict[int, Function] = {}
        self._threads = Threads()
        self._step_began = step_began
        self._over = over

    def keep(self, fn: Function) -> Function:
        """Wrap a registered function, the same way each time it is asked for."""
        if id(fn) not in self._kept:
            self._kept[id(fn)] = self._wrap(fn)
        return self._kept[id(fn)]

    def wrap(self, fn: Function) -> Function:
        """Return the wrapped form of a function, a registered one's own."""
        return self._kept.get(id(fn)) or self._wrap(fn)

    def _wrap(self, fn: Function) -> Function:
        on_loop = is_async(fn)

        @functools.wraps(fn)
        async def body(ctx: Context, *args: Any, **kwargs: Any) -> Any:
            attempt = current.get()
            if attempt is None:  # outside of a member, in a test of the function alone
                result = fn(ctx, *args, **kwargs)
                return await result if inspect.isawaitable(result) else result
            self._enter(attempt, ctx)
            call = functools.partial(fn, MemberContext.of(ctx, self), *args, **kwargs)
            try:
                result = call() if on_loop else await self._on_thread(attempt, call)
                if inspect.isawaitable(result):
                    result = await result
                elif ctx.info.id == attempt.task:
                    await self._is_over(attempt)
                return _writable(result, ctx.info.func_name)
            except (SystemExit, KeyboardInterrupt) as error:
                # Of its own free will, in the function: the member goes on, the job has failed.
                attempt.error = f"the function tried to end the process: {error!r}"
                raise ExitedError(attempt.error) from None
            except Exception as error:
                attempt.error = _told(error)
                log.debug("function.raised", exc_info=True)
                raise

        body.__dict__["__signature__"] = _signature(fn)
        return body

    def _enter(self, attempt: Attempt, ctx: Context) -> None:
        attempt.entered = True
        task = asyncio.current_task()
        if task is not None and task not in attempt.tasks:
            attempt.tasks.add(task)
            task.add_done_callback(attempt.tasks.discard)
        if ctx.info.id != attempt.task:
            self._step_began(attempt, ctx.info.id)

    async def _is_over(self, attempt: Attempt) -> None:
        self._over(attempt.task)
        # What that set off goes out first: the server works on it while the outcome is made up.
        await asyncio.sleep(0)

    async def _on_thread(self, attempt: Attempt, call: Callable[[], Any]) -> Any:
        run: Run = self._threads.start(call)
        attempt.runs.add(run)
        try:
            return await asyncio.shield(run.future)
        except asyncio.CancelledError:
            # The slot stays taken until the thread is done: it is still busy.
            run.stop()
            with contextlib.suppress(Exception, Stopped):
                await run.future
            raise
        finally:
            attempt.runs.discard(run)


class MemberContext(Context):
    """The SDK's context, whose steps are wrapped as the functions themselves are."""

    bodies: Bodies

    @classmethod
    def of(cls, ctx: Context, bodies: Bodies) -> "MemberContext":
        new = cls.__new__(cls)
        new.__dict__.update(ctx.__dict__)
        new.bodies = bodies
        return new

    def run(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a step; `fn` is a function or the name of a registered one."""
        return super().run(fn if isinstance(fn, str) else self.bodies.wrap(fn), *args, **kwargs)

    def rpc(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Dispatch to a group; `fn` is a registered function or a name."""
        return super().rpc(fn if isinstance(fn, str) else self.bodies.wrap(fn), *args, **kwargs)


def is_async(fn: Function) -> bool:
    """Tell whether calling `fn` makes a coroutine, which can wait durably."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(
        getattr(fn, "__call__", None)  # noqa: B004 - an instance with `async def __call__`
    )


def _signature(fn: Function) -> inspect.Signature:
    """Return the signature of `fn`, its annotations evaluated where they can be.

    The SDK would evaluate them among the names of the wrapper's module.
    """
    signature = inspect.signature(fn)
    where = fn if hasattr(fn, "__globals__") else type(fn).__call__
    names = getattr(where, "__globals__", {})
    return signature.replace(
        parameters=[
            one.replace(annotation=_evaluated(one.annotation, names))
            for one in signature.parameters.values()
        ],
        return_annotation=_evaluated(signature.return_annotation, names),
    )


def _evaluated(annotation: Any, names: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    holder = type("holder", (), {"__annotations__": {"it": annotation}})
    try:
        return inspect.get_annotations(holder, globals=names, eval_str=True)["it"]
    except Exception:  # noqa: BLE001 - names known to type checkers only: the SDK passes them over
        return annotation


def _told(error: Exception) -> str:
    """Return an error in one line: its type, its text, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _writable(result: Any, function: str) -> Any:
    """Return `result`, or raise here, inside of the attempt, where the SDK would only release.

    SDK 0.8.1 releases a job whose result cannot be encoded, and it would run forever.
    """
    try:
        msgspec.json.encode(result, enc_hook=enc_hook)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise UnwritableError(f"{function} returned what JSON cannot hold: {error}") from None
    return result

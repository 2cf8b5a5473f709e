"""How functions run in a member: what stands between the SDK and a user's code."""

import asyncio
import functools
import inspect
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from resonate.context import Context
from resonate.durable import DurableFunction
from resonate.error import PlatformError, SerializationError, Suspended

from resonate_fleet.contract.calls import Result
from resonate_fleet.member.attempts import Attempt, current
from resonate_fleet.member.failures import (
    EscapedError,
    UnwritableError,
    carriable,
    check_writable,
    forget_frames,
    line_of,
    text_of,
    traceback_of,
    unseen,
)
from resonate_fleet.member.threads import Stopped, Threads, end_child

Function = Callable[..., Any]
log = structlog.get_logger()

#: What the SDK and this member raise through a function to end it.
SIGNALS = (Suspended, PlatformError, Stopped)


@dataclass(eq=False)
class Bodies:
    """Wraps functions for the SDK, which sees their own signatures.

    Plain functions run on threads, so that none of them can stop the event loop; coroutine
    functions run on the loop. Both get a context whose `run` does the same for their steps.
    `step_began(attempt, promise)` hears of each step (a child run by `ctx.run`) that begins.
    `over(task)` is called when a job's plain function has returned: only its outcome is left to
    write. It is not for coroutine functions, whose steps may still run.
    """

    step_began: Callable[[Attempt, str], None] = lambda _attempt, _promise: None
    over: Callable[[str], object] = lambda _task: None
    member: str = ""
    #: By identity. Registered functions stay; steps are wrapped anew each time.
    _kept: dict[int, Function] = field(default_factory=dict, init=False)
    _threads: Threads = field(default_factory=Threads, init=False)

    def keep(self, fn: Function) -> Function:
        """Wrap a registered function, the same way each time it is asked for."""
        return self._kept.setdefault(id(fn), self.wrap(fn))

    def wrap(self, fn: Function) -> Function:
        """Return the wrapped form of a function, a registered one's own."""
        if (kept := self._kept.get(id(fn))) is not None:
            return kept
        on_loop = is_async(fn)

        @functools.wraps(fn)
        async def body(ctx: Context, *args: Any, **kwargs: Any) -> Any:
            attempt = current.get()
            if attempt is None:  # outside of a member, in a test of the function alone
                result = fn(ctx, *args, **kwargs)
                return await result if inspect.isawaitable(result) else result
            self._enter(attempt, ctx)
            process = os.getpid()
            call = functools.partial(fn, MemberContext.of(ctx, self), *args, **kwargs)
            try:
                result = await self._result(attempt, ctx, call, on_loop=on_loop)
                _check_result(result, ctx, attempt, body)
            except SIGNALS:
                raise
            except BaseException as error:
                end_child(process, error)
                if attempt.body.stopping and not issubclass(type(error), Exception):
                    raise  # cancelled: the lease is gone or handed back
                failure = _failed(attempt, ctx, error)
            else:
                return result
            finally:
                end_child(process)
            # Outside of the `except` clause: there `failure` would keep `error` as its context.
            raise failure

        body.__dict__["__signature__"] = _signature(fn)
        return body

    def _enter(self, attempt: Attempt, ctx: Context) -> None:
        attempt.body.entered = True
        task = asyncio.current_task()
        if task is not None and task not in attempt.body.tasks:
            attempt.body.tasks.add(task)
            task.add_done_callback(attempt.body.tasks.discard)
        if ctx.info.id != attempt.task:
            self.step_began(attempt, ctx.info.id)

    async def _result(
        self, attempt: Attempt, ctx: Context, call: Callable[[], Any], *, on_loop: bool
    ) -> Any:
        began = time.time()
        result = call() if on_loop else await self._on_thread(attempt, ctx.info.id, call)
        if inspect.isawaitable(result):
            result = await result
        if not isinstance(result, Result):
            return result
        by, number = self.member, attempt.version
        return msgspec.structs.replace(
            result, member=by, attempt=number, began=began, ended=time.time()
        )

    async def _on_thread(self, attempt: Attempt, promise: str, call: Callable[[], Any]) -> Any:
        started = self._threads.start(functools.partial(_contained, call))
        if promise == attempt.task:
            # The slot is reported free before the SDK builds the outcome.
            started.returned = lambda value: inspect.isawaitable(value) or self.over(promise)
        attempt.body.calls.add(started)
        try:
            return await started.outcome()
        finally:
            attempt.body.calls.discard(started)


class MemberContext(Context):
    """The SDK's context, whose steps are wrapped as the functions themselves are."""

    bodies: Bodies
    loop: asyncio.AbstractEventLoop

    @classmethod
    def of(cls, ctx: Context, bodies: Bodies) -> "MemberContext":
        new = cls.__new__(cls)
        new.__dict__.update(ctx.__dict__)
        new.bodies = bodies
        new.loop = asyncio.get_running_loop()
        return new

    def _check(self, *given: Any) -> None:
        """Refuse a call on another event loop: it would wait for ever. JSON must hold `given`."""
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("the context belongs to the event loop that runs the function")
        check_writable(given, "the call of another function was given")

    def run(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a step; `fn` is a function or the name of a registered one."""
        self._check()
        return super().run(fn if isinstance(fn, str) else self.bodies.wrap(fn), *args, **kwargs)

    def rpc(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Dispatch to a group; `fn` is a registered function or a name."""
        self._check(args, kwargs)
        return super().rpc(fn if isinstance(fn, str) else self.bodies.wrap(fn), *args, **kwargs)

    def detached(self, fn: str, *args: Any, **kwargs: Any) -> Any:
        """Dispatch to a group and do not wait for it."""
        self._check(args, kwargs)
        return super().detached(fn, *args, **kwargs)


def is_async(fn: Function) -> bool:
    """Say whether calling `fn` makes a coroutine, which can wait durably."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(
        getattr(fn, "__call__", None)  # noqa: B004 - an instance with `async def __call__`
    )


def _signature(fn: Function) -> inspect.Signature:
    """Return the signature of `fn`, with its annotations evaluated as far as possible.

    The SDK would evaluate them with the names of the wrapper's module.
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


def _contained(call: Callable[[], Any]) -> Any:
    """Call it; turn what no future can carry, or what would end the loop, into an EscapedError."""
    try:
        return call()
    except SIGNALS:
        raise
    except StopIteration as error:
        raise EscapedError(_escaped(error)) from error
    except Exception:
        raise
    except BaseException as error:
        raise EscapedError(_escaped(error)) from error


def _escaped(error: BaseException) -> str:
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return f"the function tried to end the process: {error!r}"
    return f"the function raised what must not leave it: {text_of(error)}"


def _failed(attempt: Attempt, ctx: Context, raised: BaseException) -> Exception:
    """Note that a function has failed; return the error that the SDK is to see."""
    try:
        return _noted(attempt, ctx, raised)
    except BaseException as second:  # noqa: BLE001 - the methods of users' own errors run here
        return unseen(second)


def _noted(attempt: Attempt, ctx: Context, raised: BaseException) -> Exception:
    if isinstance(raised, asyncio.CancelledError) and (task := asyncio.current_task()) is not None:
        while task.uncancel():
            pass  # the function cancelled itself; the job still ends in order
    error = raised if isinstance(raised, Exception) else EscapedError(_escaped(raised))
    failure, text = attempt.failure, text_of(error)
    if failure.raised != text:  # else a step's own error, on its way through its parent
        own = error.__cause__ if isinstance(error, EscapedError) and error.__cause__ else raised
        failure.error, failure.traceback = line_of(error), traceback_of(own)
        if not failure.raised:
            promise, function = ctx.info.id, ctx.info.func_name
            log.warning(
                "function.raised", promise=promise, function=function, exception=failure.traceback
            )
        failure.raised = text
    forget_frames(raised)
    return carriable(error)


def _check_result(result: Any, ctx: Context, attempt: Attempt, body: Function) -> None:
    """Refuse a result that the SDK cannot store, or not read back as the step's declared type.

    The SDK finds out only after it has stored the step's result, and would release the job again
    and again.
    """
    encoded = check_writable(result, f"{ctx.info.func_name} returned")
    if ctx.info.id == attempt.task:
        return
    try:
        DurableFunction(body).coerce_result(msgspec.json.decode(encoded))
    except SerializationError as error:
        raise UnwritableError(
            f"{ctx.info.func_name} returned what it does not declare: {error.error}"
        ) from None

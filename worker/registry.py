"""The functions of this member: a user's module, wrapped so that the member can look after them."""

import asyncio
import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, overload

import msgspec
from resonate.codec import enc_hook
from resonate.context import Context
from resonate.error import ResonateError
from resonate.resonate import Resonate
from resonate.retry import RetryPolicy
from resonate.types import DurableRegistry

from worker.attempts import Attempt, current
from worker.threads import Run, Stopped, Threads

Function = Callable[..., Any]
#: Told that a step (a child run by `ctx.run`) begins in an attempt.
StepBegan = Callable[[Attempt, str], None]


class BadFunctions(Exception):  # noqa: N818 - the user's mistake, told in one line
    """The functions module cannot be used."""


class UnwritableError(ResonateError):
    """A function returned what JSON cannot hold. Final: a retry would return the same."""


class ExitedError(Exception):
    """A function called `sys.exit` or the like."""


class Registry:
    """What a functions module registers with: `register` as in the SDK, also as a decorator.

    Plain functions run on threads, so that none of them can stop the event loop; coroutine
    functions run on the loop. Both get a context whose `run` does the same for their steps.
    """

    def __init__(self) -> None:
        # By identity: what is registered lives as long as the registry; steps are not kept.
        self._wrapped: dict[int, Function] = {}
        self._keys: dict[tuple[str, int], tuple[Function, RetryPolicy | None]] = {}
        self._threads = Threads()
        self.step_began: StepBegan = lambda _attempt, _promise: None

    @overload
    def register[**P, T](
        self,
        fn: Callable[Concatenate[Context, P], T],
        *,
        name: str | None = None,
        version: int = 1,
        retry_policy: RetryPolicy | None = None,
    ) -> Callable[Concatenate[Context, P], T]: ...
    @overload
    def register[**P, T](
        self,
        fn: None = None,
        *,
        name: str | None = None,
        version: int = 1,
        retry_policy: RetryPolicy | None = None,
    ) -> Callable[[Callable[Concatenate[Context, P], T]], Callable[Concatenate[Context, P], T]]: ...
    def register(
        self,
        fn: Function | None = None,
        *,
        name: str | None = None,
        version: int = 1,
        retry_policy: RetryPolicy | None = None,
    ) -> Any:
        """Register `fn` as `name` (by default its own) in `version`; return it unchanged.

        Raises:
            BadFunctions: the name is taken in this version.
        """
        if fn is None:
            return lambda given: self.register(
                given, name=name, version=version, retry_policy=retry_policy
            )
        key = (name or str(getattr(fn, "__name__", "")), version)
        if key in self._keys:
            raise BadFunctions(f"function {key[0]!r} is registered twice in version {version}")
        self._keys[key] = (fn, retry_policy)
        return fn

    def names(self) -> list[str]:
        """Return what is registered as `name` or, past version 1, `name@version`."""
        return [name if version == 1 else f"{name}@{version}" for name, version in self._keys]

    def has(self, name: str) -> bool:
        """Tell whether `name` is registered in any version."""
        return any(name == known for known, _ in self._keys)

    def knows(self, name: str, version: int) -> bool:
        return (name, version) in self._keys

    def can_suspend(self, name: str, version: int) -> bool:
        """Tell whether the function could wait durably: plain ones cannot."""
        found = self._keys.get((name, version))
        return found is not None and _is_async(found[0])

    def install(self, resonate: Resonate) -> None:
        """Register everything, wrapped, with the SDK.

        Raises:
            BadFunctions: the SDK refuses a function.
        """
        for (name, version), (fn, policy) in self._keys.items():
            self._wrapped[id(fn)] = wrapped = self._wrapped.get(id(fn)) or self._wrap(fn)
            try:
                resonate.register(wrapped, name=name, version=version, retry_policy=policy)
            except (ResonateError, ValueError, TypeError) as error:
                raise BadFunctions(f"function {name!r}: {error}") from None

    def wrap(self, fn: Function) -> Function:
        """Return the wrapped form of a function, a registered one's own."""
        return self._wrapped.get(id(fn)) or self._wrap(fn)

    def _wrap(self, fn: Function) -> Function:
        on_loop = _is_async(fn)

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
            except (SystemExit, KeyboardInterrupt) as error:
                # Of its own free will, in the function: the member goes on, the job has failed.
                raise ExitedError(f"the function tried to end the process: {error!r}") from None
            return _writable(result, ctx.info.func_name)

        body.__dict__["__signature__"] = _signature(fn)
        return body

    def _enter(self, attempt: Attempt, ctx: Context) -> None:
        attempt.entered = True
        task = asyncio.current_task()
        if task is not None and task not in attempt.tasks:
            attempt.tasks.add(task)
            task.add_done_callback(attempt.tasks.discard)
        if ctx.info.id != attempt.task:
            self.step_began(attempt, ctx.info.id)

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

    registry: Registry

    @classmethod
    def of(cls, ctx: Context, registry: Registry) -> "MemberContext":
        new = cls.__new__(cls)
        new.__dict__.update(ctx.__dict__)
        new.registry = registry
        return new

    def run(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a step; `fn` is a function or the name of a registered one."""
        return super().run(fn if isinstance(fn, str) else self.registry.wrap(fn), *args, **kwargs)

    def rpc(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Dispatch to a group; `fn` is a registered function or a name."""
        return super().rpc(fn if isinstance(fn, str) else self.registry.wrap(fn), *args, **kwargs)


def load(module: str, registry: Registry) -> None:
    """Import `module` and let it register its functions.

    Raises:
        BadFunctions: with one line that says what is wrong.
    """
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise BadFunctions(f"WORKER_FUNCTIONS is {module!r}: {error!r}") from error
    register: Callable[[DurableRegistry], None] | None = getattr(found, "register", None)
    if not callable(register):
        raise BadFunctions(f"WORKER_FUNCTIONS is {module!r}: it has no function `register`")
    register(registry)
    if not registry.names():
        raise BadFunctions(f"WORKER_FUNCTIONS is {module!r}: it registers nothing")


def _is_async(fn: Function) -> bool:
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


def _writable(result: Any, function: str) -> Any:
    """Return `result`, or raise here, inside of the attempt, where the SDK would only release.

    SDK 0.8.1 releases a job whose result cannot be encoded, and it would run forever.
    """
    try:
        msgspec.json.encode(result, enc_hook=enc_hook)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise UnwritableError(f"{function} returned what JSON cannot hold: {error}") from None
    return result

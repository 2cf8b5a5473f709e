"""The functions of this member: what a user's module registers, opens and closes."""

import asyncio
import importlib
import traceback
from asyncio import to_thread
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any, Concatenate, TypedDict, Unpack, overload

import structlog
from resonate.context import Context
from resonate.error import ResonateError
from resonate.resonate import Resonate
from resonate.retry import RetryPolicy

from resonate_fleet.contract.calls import call_of, label
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.contract.wire import Promise
from resonate_fleet.member.attempts import Callee
from resonate_fleet.member.bodies import Bodies, Function, is_async
from resonate_fleet.member.failures import text_of

#: Makes a context manager that is entered at the start and left after the drain.
type Manager = Callable[[], AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]

#: Missing functions that are logged at most.
MOST_MISSED = 100
#: Seconds between two checks whether this process is to end while it starts.
CHECK_SECONDS = 0.02
log = structlog.get_logger()


class BadFunctions(Mistake):
    """The functions module cannot be used."""


class Lifespan:
    """Enters the managers in order and leaves them in reverse. Plain ones run on a thread."""

    def __init__(self) -> None:
        self.managers: list[Manager] = []
        #: Names of what was entered, and what leaves it.
        self._opened: list[tuple[str, Callable[..., Awaitable[Any]]]] = []

    def __bool__(self) -> bool:
        return bool(self.managers)

    async def open(self) -> list[Any]:
        """Return what the managers yield, without None.

        Raises:
            BadFunctions: one of them failed; what was opened before has been closed.
        """
        values = []
        for make in self.managers:
            name = getattr(make, "__name__", repr(make))
            try:
                enter, leave = _hooks(make())
                values.append(await enter())
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's code may raise anything
                await self.close()
                raise BadFunctions(f"start-up of {name}: {error!r}{_place(error)}") from None
            self._opened.append((name, leave))
        return [value for value in values if value is not None]

    async def open_unless(self, stopping: Callable[[], bool]) -> list[Any] | None:
        """Do the same; return None if the process is `stopping` before it is over."""
        opening = asyncio.create_task(self.open())
        while not (await asyncio.wait({opening}, timeout=CHECK_SECONDS))[0]:
            if stopping():
                return None
        return opening.result()

    async def close(self) -> None:
        """Leave all that was entered; a failure is logged and stops nothing."""
        while self._opened:
            name, leave = self._opened.pop()
            try:
                await leave(None, None, None)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's code may raise anything
                log.error("shutdown.failed", hook=name, why=f"{error!r}{_place(error)}")  # noqa: TRY400 - one line


def _hooks(
    manager: AbstractContextManager[Any] | AbstractAsyncContextManager[Any],
) -> tuple[Callable[..., Awaitable[Any]], ...]:
    """Return what enters and what leaves a manager."""
    if isinstance(manager, AbstractAsyncContextManager):
        return manager.__aenter__, manager.__aexit__
    enter, leave = manager.__enter__, manager.__exit__
    return (lambda: to_thread(enter)), (lambda *error: to_thread(leave, *error))


class Options(TypedDict, total=False):
    """What `Registry.register` takes besides the function."""

    name: str | None
    version: int
    retry_policy: RetryPolicy | None
    limit: int | None


def _check(name: object, version: object, retry_policy: object, limit: object) -> None:
    """Check what users' code registers a function with: nothing else has looked at its types.

    Raises:
        BadFunctions: one is of another kind.
    """
    counts = isinstance(version, int) and version >= 1
    limits = limit is None or (isinstance(limit, int) and limit >= 1)
    retries = retry_policy is None or (
        callable(getattr(retry_policy, "next", None)) and not isinstance(retry_policy, type)
    )
    for what, value, fits, accepted in (
        ("name", name, isinstance(name, str), "text"),
        ("version", version, counts, "a whole number from 1"),
        ("limit", limit, limits, "a whole number from 1"),
        ("retry policy", retry_policy, retries, "what has a method `next`, such as `Never()`"),
    ):
        if not fits:
            raise BadFunctions(f"function {name!r} has the {what} {value!r}; accepted: {accepted}")


class Registry:
    """Takes a functions module's registrations. `register` is the SDK's, also as a decorator."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, int], tuple[Function, RetryPolicy | None, Callee]] = {}
        #: Their names, whatever the version.
        self.functions: set[str] = set()
        #: By `name` or, past version 1, `name@version`.
        self.limits: dict[str, int] = {}
        self.hooks = Lifespan()
        self._dependencies: list[Any] = []
        self._missed: set[str] = set()

    @overload
    def register[**P, T](
        self, fn: Callable[Concatenate[Context, P], T], **options: Unpack[Options]
    ) -> Callable[Concatenate[Context, P], T]: ...
    @overload
    def register[**P, T](
        self, fn: None = None, **options: Unpack[Options]
    ) -> Callable[[Callable[Concatenate[Context, P], T]], Callable[Concatenate[Context, P], T]]: ...
    def register(
        self,
        fn: Function | None = None,
        *,
        name: str | None = None,
        version: int = 1,
        retry_policy: RetryPolicy | None = None,
        limit: int | None = None,
    ) -> Any:
        """Register `fn` as `name` (by default its own) in `version`; return it unchanged.

        No more than `limit` jobs of it run in one member at a time.

        Raises:
            BadFunctions: the name is taken in this version, or an argument is of another kind.
        """
        if fn is None:
            return lambda given: self.register(
                given, name=name, version=version, retry_policy=retry_policy, limit=limit
            )
        key = (name or str(getattr(fn, "__name__", "")), version)
        _check(*key, retry_policy, limit)
        if key in self._keys:
            raise BadFunctions(f"function {key[0]!r} is registered twice in version {version}")
        callee = Callee(key[0], label(*key), suspends=is_async(fn))
        self._keys[key] = (fn, retry_policy, callee)
        self.functions.add(key[0])
        if limit is not None:
            self.limits[callee.label] = limit
        return fn

    def dependency(self, value: Any) -> None:
        """Let functions have `value` by `ctx.get_dependency(type(value))`."""
        self._dependencies.append(value)

    def lifespan(self, manager: Manager) -> Manager:
        """Enter `manager()`, a context manager, once at the start and leave it after the drain.

        What it yields is a dependency. Also a decorator.
        """
        self.hooks.managers.append(manager)
        return manager

    def names(self) -> list[str]:
        """Return what is registered as `name` or, past version 1, `name@version`."""
        return [callee.label for _, _, callee in self._keys.values()]

    def runs(self, promise: Promise) -> bool:
        """Say whether the function that a promise calls is registered, or cannot be read."""
        call = call_of(promise)
        if call is None or (call.func, call.version) in self._keys:
            return True
        if call.label not in self._missed and len(self._missed) < MOST_MISSED:
            self._missed.add(call.label)
            log.warning(
                "function.unknown", function=call.label, job=promise.id, then="left to others"
            )
        return False

    def callee(self, name: str, version: int) -> Callee:
        """Return what this member knows of a function. Plain ones cannot wait durably."""
        if (known := self._keys.get((name, version))) is not None:
            return known[2]
        return Callee(name, label(name, version), known=False)

    def install(self, resonate: Resonate, bodies: Bodies) -> None:
        """Register everything with the SDK, as `bodies` run it.

        Raises:
            BadFunctions: the SDK refuses a function.
        """
        for value in self._dependencies:
            resonate.with_dependency(value)
        for (name, version), (fn, policy, _) in self._keys.items():
            try:
                resonate.register(bodies.keep(fn), name=name, version=version, retry_policy=policy)
            except (ResonateError, ValueError, TypeError) as error:
                raise BadFunctions(f"function {name!r}: {error}") from None


def load(module: str, registry: Registry) -> None:
    """Import `module` and let it register its functions.

    Raises:
        BadFunctions: with one line that says what is wrong.
    """
    try:
        register = getattr(importlib.import_module(module), "register", None)
        if callable(register):
            register(registry)
    except BadFunctions:
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        raise BadFunctions(" ".join(text_of(error).split()) + _place(error)) from error
    if not callable(register):
        raise BadFunctions("it has no function `register`")
    if not registry.names():
        raise BadFunctions("it registers nothing")


def _place(error: BaseException) -> str:
    """Return the file and line that raised, in brackets; nothing where the import found none."""
    if isinstance(error, SyntaxError) and Path(error.filename or "").is_file():  # else by `eval`
        return f" ({error.filename}:{error.lineno})"
    ours = ("<", __file__, str(importlib.__file__))
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in frames if not one.filename.startswith(ours)]
    return f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""

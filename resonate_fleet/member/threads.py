"""Threads for blocking bodies. None is joined at exit, and each can be stopped."""

import asyncio
import contextlib
import contextvars
import ctypes
import os
import queue
import threading
import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from resonate_fleet.member.failures import EscapedError, unseen


class Stopped(BaseException):
    """Raised in a thread whose body is to end; user code must not swallow it."""


class ThreadCall:
    """One call in a thread. `stop` may be called from any thread, at any time."""

    def __init__(self, call: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self._call = call
        self._loop = loop
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._stopped = False
        #: The call is over, and `future` has its outcome.
        self.done = False
        self.future: asyncio.Future[Any] = loop.create_future()
        #: Gets what the call returned, before `future` does.
        self.returned: Callable[[Any], object] = lambda _: None

    async def outcome(self) -> Any:
        """Wait for the end; return what the call returned, or raise what it raised.

        When cancelled it stops the call and waits until the thread is free.
        """
        try:
            return await self.future
        except asyncio.CancelledError:
            self.stop()
            if not self.done:
                self.future = self._loop.create_future()
                with contextlib.suppress(Exception, Stopped):
                    await self.future
            raise

    def stop(self) -> None:
        """Raise `Stopped` in the thread at its next step of Python code."""
        with self._lock:
            self._stopped = True
            if self._thread is not None:
                _raise_in(self._thread, Stopped)

    def execute(self) -> "Outcome":
        """Run the call in this thread."""
        try:
            return self._execute()
        except Stopped:  # raised between the call's end and `_leave`
            self._thread = None
            return None, Stopped()

    def _execute(self) -> "Outcome":
        with self._lock:
            if self._stopped:
                return None, Stopped()
            self._thread = threading.get_ident()
        value, error = None, None
        process = os.getpid()
        try:
            value = self._call()
        except BaseException as raised:  # noqa: BLE001 - any outcome belongs to the awaiter
            error = raised
        finally:
            end_child(process, error)
            self._leave()
        return value, error

    def _leave(self) -> None:
        with self._lock:
            if self._stopped:
                _raise_in(threading.get_ident(), None)
            self._thread = None


#: What a call returned, or what it raised.
type Outcome = tuple[Any, BaseException | None]


class Threads:
    """A pool of daemon threads that grows on demand.

    The standard library's pool joins its threads when the interpreter ends. Here a body that was
    handed back and still blocks must not keep the process alive.

    Waking a thread, or the loop, costs more than a short body. So one thread is woken at a time; if
    more calls wait, it wakes the next thread before it runs its own. The loop is woken once for all
    outcomes that it has not seen.
    """

    def __init__(self) -> None:
        self._waiting: deque[ThreadCall] = deque()
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = self._all = 0
        #: A thread has been woken and has not taken a call yet.
        self._waking = False
        self._outcomes: deque[tuple[ThreadCall, Outcome]] = deque()
        self._loop_knows = False

    def start(self, call: Callable[[], Any]) -> ThreadCall:
        """Start `call`, in a copy of the caller's context; await `.outcome()`."""
        self._loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        one = ThreadCall(partial(context.run, call), self._loop)
        self._waiting.append(one)
        with self._lock:
            self._wake()
        return one

    def _wake(self) -> None:
        if self._waking:
            return
        self._waking = True
        if self._idle:
            self._idle -= 1
            self._wakes.put(None)
            return
        try:
            threading.Thread(target=self._work, name="body", daemon=True).start()
            self._all += 1
        except RuntimeError:  # the system has no more threads: those that exist go on
            self._waking = False
            if not self._all:
                raise

    def _work(self) -> None:
        one = self._next(woken=True)
        while True:
            if one is None:
                self._wakes.get()
                one = self._next(woken=True)
            else:
                one = self._through(one)

    def _through(self, one: ThreadCall) -> ThreadCall | None:
        """Run it and deliver its outcome; return the next.

        Without a next call the thread is idle before the outcome is delivered.
        """
        outcome = one.execute()
        following = self._next(woken=False)
        self._outcomes.append((one, outcome))
        if not self._loop_knows:
            self._loop_knows = True
            with contextlib.suppress(RuntimeError):  # the loop has closed
                self._loop.call_soon_threadsafe(self._deliver)
        return following

    def _next(self, *, woken: bool) -> ThreadCall | None:
        with self._lock:
            self._waking = self._waking and not woken
            if not self._waiting:
                self._idle += 1
                return None
            one = self._waiting.popleft()
            if self._waiting:
                self._wake()
            return one

    def _deliver(self) -> None:
        self._loop_knows = False
        while self._outcomes:
            one, (value, error) = self._outcomes.popleft()
            one.done = True
            if one.future.done():
                continue
            try:
                if error is None:
                    one.returned(value)
                    one.future.set_result(value)
                elif isinstance(error, Stopped):  # to the SDK it is a cancelled body
                    one.future.cancel()
                else:
                    one.future.set_exception(error)
            except BaseException as second:  # noqa: BLE001 - users' classes take part in it
                one.future.set_exception(unseen(second))


def end_child(process: int, error: BaseException | None = None) -> None:
    """End a child that a body forked in `process`: only the parent may return a result.

    It ends as Python ends a process whose `error` nobody caught.
    """
    if os.getpid() == process:
        return
    if isinstance(error, EscapedError):
        error = error.__cause__ or error
    if not isinstance(error, SystemExit | None):
        traceback.print_exception(error)
    code = error.code if isinstance(error, SystemExit) else error
    os._exit(code if isinstance(code, int) else int(code is not None))


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Set (or with None clear) the asynchronous exception of a thread (CPython's C API)."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(error) if error is not None else None
    )

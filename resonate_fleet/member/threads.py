"""Threads for blocking bodies: none is joined at exit, and each can be told to stop."""

import asyncio
import contextvars
import ctypes
import os
import queue
import threading
from collections.abc import Callable
from typing import Any


class Stopped(BaseException):
    """Raised inside a thread whose body is to end; user code must not swallow it."""


class Run:
    """One call in a thread. `stop` may be called from any thread, at any time."""

    def __init__(self, call: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self._call = call
        self._loop = loop
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._stopped = False
        self.future: asyncio.Future[Any] = loop.create_future()

    def stop(self) -> None:
        """Raise `Stopped` in the thread at its next step of Python code."""
        with self._lock:
            self._stopped = True
            if self._thread is not None:
                _raise_in(self._thread, Stopped)

    def execute(self) -> None:
        """Run the call in this thread and hand its outcome to the loop."""
        try:
            self._execute()
        except Stopped:  # it came between the call and the clearing
            self._thread = None
            self._settle(None, Stopped())

    def _execute(self) -> None:
        with self._lock:
            if self._stopped:
                self._settle(None, Stopped())
                return
            self._thread = threading.get_ident()
        value, error = None, None
        process = os.getpid()
        try:
            value = self._call()
        except BaseException as raised:  # noqa: BLE001 - any outcome belongs to the awaiter
            error = raised
        finally:
            end_child(process)
            with self._lock:
                _raise_in(threading.get_ident(), None)
                self._thread = None
        self._settle(value, error)

    def _settle(self, value: Any, error: BaseException | None) -> None:
        def settle() -> None:
            if self.future.done():
                return
            if error is None:
                self.future.set_result(value)
            elif isinstance(error, Stopped):  # it looks like any other cancelled body
                self.future.cancel()
            else:
                self.future.set_exception(error)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(settle)


class Threads:
    """A pool of daemon threads that grows with what is asked of it.

    The standard library's pool joins its threads when the interpreter ends; here a handed-back
    body that still blocks must not keep the process alive.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._idle = 0
        self._lock = threading.Lock()

    def start(self, call: Callable[[], Any]) -> Run:
        """Start `call`, in a copy of the caller's context; await `.future` for its outcome."""
        context = contextvars.copy_context()
        run = Run(lambda: context.run(call), asyncio.get_running_loop())
        with self._lock:
            enough = self._idle > 0
            self._idle -= 1 if enough else 0
        self._queue.put(run)
        if not enough:
            threading.Thread(target=self._work, name="body", daemon=True).start()
        return run

    def _work(self) -> None:
        while True:
            self._queue.get().execute()
            with self._lock:
                self._idle += 1


def end_child(process: int) -> None:
    """End a child that a body forked in `process` and that would return: the job is not its."""
    if os.getpid() != process:
        os._exit(0)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Set (or with None clear) the asynchronous exception of a thread (CPython's C API)."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(error) if error is not None else None
    )

"""Runs a member, from its settings to its exit code."""

import asyncio
import ctypes
import errno
import faulthandler
import logging
import os
import secrets
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from resonate_fleet.contract import exits, logs
from resonate_fleet.contract.options import is_out_of_threads
from resonate_fleet.contract.recorder import Journal, open_journal
from resonate_fleet.contract.replica import own_name
from resonate_fleet.contract.settings import Mistake, effective, taken_port, unknown
from resonate_fleet.contract.sink import lines_to
from resonate_fleet.member import registry, sdk
from resonate_fleet.member.member import Member
from resonate_fleet.member.on_loop import OnLoop
from resonate_fleet.member.process import ProcessWide
from resonate_fleet.member.settings import Settings
from resonate_fleet.member.upstream import LARGE, Wires

try:
    from uvloop import new_event_loop
except ImportError:  # not on every system
    from asyncio import new_event_loop  # type: ignore[assignment]  # either makes a loop

#: `mallopt(3)`.
M_MMAP_THRESHOLD = -3
log = structlog.get_logger()


def live(settings: Settings, own: ProcessWide) -> int:
    """Run the member until it has drained; return the exit code.

    Raises:
        Mistake: the functions or the journal's folder cannot be used, or what a setting asks for
            is not installed.
    """
    # Each start has a name of its own, under which the server keeps its leases.
    name = f"{settings.member or own_name()}-{secrets.token_hex(3)}"
    with suppress(AttributeError, OSError):  # another C library
        # Have glibc return large blocks at once; by default it keeps as much as the largest took.
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
    own.restore = _set_up_log(settings, name)
    _find_users_modules(settings)
    functions = registry.Registry()
    try:
        registry.load(settings.functions, functions)
        own.keep()
        level = getattr(logging, settings.log_level.upper())
        journal = open_journal("WORKER_JOURNAL", name, settings.journal, threshold=level)
        _to_the_end(_run(settings, functions, journal, own))
    except registry.BadFunctions as bad:
        raise Mistake(f"WORKER_FUNCTIONS is {settings.functions!r}: {bad}") from None
    except Mistake:
        raise
    except OSError as error:
        raise taken_port(settings, error) from None
    except asyncio.CancelledError:
        log.error("loop.cancelled", why="a function cancelled the member's own tasks")  # noqa: TRY400 - one line
        return exits.FAILED
    except Exception as error:  # a defect: Python's own exit code, 1, means a broken promise here
        if is_out_of_threads(error):
            raise
        log.exception("defect")
        return exits.FAILED
    return exits.OK


def _set_up_log(settings: Settings, name: str) -> Callable[[], bool]:
    """Begin the log with the settings; return what sets it up again."""
    faulthandler.enable(2, all_threads=False)  # where C code ends the process, as the last words
    # Printing never fails, even when nobody reads it any more.
    sys.stdout, sys.stderr = lines_to(sys.stdout, "log"), lines_to(sys.stderr, "log")
    how = settings.log_format, settings.log_level
    restore = logs.configure(*how, name, group=settings.group)
    sdk.quieten()
    log.info("settings", **effective(settings))
    if names := unknown(Settings, os.environ):
        log.warning("settings.unused", names=names)
    return restore


def _find_users_modules(settings: Settings) -> None:
    """Have modules be looked for in the current folder first; an installed command does not.

    Whatever the member itself needs is imported by then: a user's module may have the same name.
    """
    if settings.traces != "off":
        with suppress(ImportError):
            import resonate_fleet.member.otel  # noqa: F401, PLC0415 - an extra that is seldom there
    with suppress(OSError):  # somebody has deleted it
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.insert(0, here)


def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Run the member to its end, even if a function stops its loop or raises in a callback."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        loop = runner.get_loop()
        # The SDK's tasks and the member's own begin later than they are made; eager ones do not.
        loop.set_task_factory = lambda factory: log.warning(  # type: ignore[method-assign]  # for users' code
            "loop.taken-back", what="task factory", factory=repr(factory)
        )
        running = loop.create_task(work)
        while not running.done() and not loop.is_closed():
            try:
                loop.run_until_complete(running)
            except BaseException as error:
                # Without its descriptors no loop can go on.
                if running.done() or getattr(error, "errno", None) == errno.EBADF:
                    raise
                log.error("loop.stopped", why=repr(error), then="it goes on")  # noqa: TRY400 - one line


async def _run(
    settings: Settings, functions: registry.Registry, journal: Journal, own: ProcessWide
) -> None:
    wires, on_loop = Wires(settings, journal.who), OnLoop(asyncio.get_running_loop())
    await Member(settings, functions, journal, own, wires, on_loop).run()
    journal.close()
    # Bodies that were handed back may still block their threads; the process does not wait.
    for stream in (sys.stderr, sys.stdout):
        with suppress(BaseException):  # a function may have put anything there
            stream.flush()
    os._exit(exits.OK)

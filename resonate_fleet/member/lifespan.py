"""What a functions module opens at the process's start and closes at its end."""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import structlog

#: Makes a context manager that is entered at the start and left after the drain.
type Manager = Callable[[], AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]
type _Opened = AbstractContextManager[Any] | AbstractAsyncContextManager[Any]

#: Seconds between two checks whether this process is to end.
CHECK_SECONDS = 0.02
log = structlog.get_logger()


class NotOpened(Exception):  # noqa: N818 - the user's mistake, or the world's, told in one line
    """A start-up failed; what was opened before has been closed."""


class Lifespan:
    """Enters the managers in order and leaves them in reverse. Plain ones run on a thread."""

    def __init__(self, managers: Sequence[Manager]) -> None:
        self._managers = managers
        self._opened: list[tuple[str, _Opened]] = []

    def __bool__(self) -> bool:
        return bool(self._managers)

    async def open(self) -> list[Any]:
        """Return what the managers yield, without None.

        Raises:
            NotOpened: one of them failed.
        """
        values = []
        for make in self._managers:
            name = getattr(make, "__name__", repr(make))
            try:
                manager = make()
                values.append(await _enter(manager))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's code may raise anything
                await self.close()
                raise NotOpened(f"start-up of {name}: {_where(error)}") from None
            self._opened.append((name, manager))
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
            name, manager = self._opened.pop()
            try:
                await _leave(manager)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's code may raise anything
                log.error("shutdown.failed", hook=name, why=_where(error))  # noqa: TRY400 - one line


async def _enter(manager: _Opened) -> Any:
    if isinstance(manager, AbstractAsyncContextManager):
        return await manager.__aenter__()
    return await asyncio.to_thread(manager.__enter__)


async def _leave(manager: _Opened) -> None:
    if isinstance(manager, AbstractAsyncContextManager):
        await manager.__aexit__(None, None, None)
    else:
        await asyncio.to_thread(manager.__exit__, None, None, None)


def _where(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{error!r} ({frame.filename}:{frame.lineno})"

"""The process's signals and log, which the member does not leave to the functions' module."""

import asyncio
import queue
import signal
from collections.abc import Callable
from types import FrameType

import structlog

from resonate_fleet.contract.start import STOPS

#: Seconds between two checks whether user code has replaced signal handlers or logging.
KEEP = 1.0
log = structlog.get_logger()


class StopSignals:
    """Collects signals. `SimpleQueue.put` is safe in a handler that interrupts itself.

    A user's module may set handlers of its own; with them nothing would end the member in order.
    """

    def __init__(self) -> None:
        self.came: queue.SimpleQueue[str] = queue.SimpleQueue()
        hears_hangup = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN  # by nohup it is ignored
        self._stops = (*STOPS, signal.SIGHUP) if hears_hangup else STOPS
        #: The handlers of this process itself, before a user's module is loaded and afterwards.
        self._own = [signal.getsignal(one) for one in self._stops]

    def take(self) -> None:
        """Set the handlers; log where user code has set others. To be called in the main thread."""
        for one in self._stops:
            current = signal.signal(one, self._handle)
            if current not in self._own:
                log.warning("signal.taken-back", signal=one.name, handler=_name(current))
        self._own = [self._handle]

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.came.put(signal.Signals(number).name)


class ProcessWide:
    """Signals and log, which a process has once. `keep` takes back what user code has replaced."""

    def __init__(self, signals: StopSignals, restore: Callable[[], bool]) -> None:
        self.signals = signals
        self._restore = restore

    def keep(self) -> None:
        """Take both back. To be called in the main thread."""
        self.signals.take()
        if self._restore():
            log.warning("log.taken-back", why="the functions' module has set up logging anew")

    async def run(self) -> None:
        """Keep both."""
        while True:
            self.keep()
            await asyncio.sleep(KEEP)


def _name(handler: object) -> str:
    module, name = getattr(handler, "__module__", ""), getattr(handler, "__qualname__", "")
    return f"{module}.{name}" if name else repr(handler)

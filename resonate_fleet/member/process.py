"""What a process has once: its signals and its log.

The member does not leave signals and log to the functions' module.
"""

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


class ProcessWide:
    """Signals and log. `keep` takes back what user code has replaced.

    With handlers of a user's module nothing would end the member in order. `SimpleQueue.put` is
    safe in a handler that interrupts itself.
    """

    def __init__(self) -> None:
        #: The names of the signals that have come.
        self.came: queue.SimpleQueue[str] = queue.SimpleQueue()
        #: Sets the log up anew; says whether somebody else had.
        self.restore: Callable[[], bool] = lambda: False
        hears_hangup = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN  # by nohup it is ignored
        self._stops = (*STOPS, signal.SIGHUP) if hears_hangup else STOPS
        #: The handlers of this process itself, before a user's module is loaded and afterwards.
        self._own = [signal.getsignal(one) for one in self._stops]

    def keep(self) -> None:
        """Take both back; log what user code had put there. To be called in the main thread."""
        for one in self._stops:
            current = signal.signal(one, self._handle)
            if current not in self._own:
                module, name = (getattr(current, f"__{of}__", "") for of in ("module", "qualname"))
                handler = f"{module}.{name}" if name else repr(current)
                log.warning("signal.taken-back", signal=one.name, handler=handler)
        self._own = [self._handle]
        if self.restore():
            log.warning("log.taken-back", why="the functions' module has set up logging anew")

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.came.put(signal.Signals(number).name)

    async def run(self) -> None:
        """Keep both."""
        while True:
            self.keep()
            await asyncio.sleep(KEEP)

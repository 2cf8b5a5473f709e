"""What belongs to the process as a whole, and which the member keeps to itself."""

import asyncio
import queue
import signal
from collections.abc import Callable
from types import FrameType

import structlog

from resonate_fleet.contract.start import STOPS

#: Seconds between two checks whether a function has taken the signals or the log over.
KEEP = 1.0
log = structlog.get_logger()


class StopSignals:
    """Collects what comes. `SimpleQueue.put` is safe in a handler that interrupts itself.

    A user's module may set handlers of its own: then nothing would end the member in order.
    """

    def __init__(self) -> None:
        self.came: queue.SimpleQueue[str] = queue.SimpleQueue()

    def install(self) -> None:
        """Take the signals from now on. To be called in the main thread."""
        for one in STOPS:
            signal.signal(one, self._handle)

    def take_back(self) -> None:
        """Take them back from whoever has set a handler since, and say so."""
        for one in STOPS:
            current = signal.getsignal(one)
            if current != self._handle:
                signal.signal(one, self._handle)
                log.warning("signal.taken-back", signal=one.name, handler=_name(current))

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.came.put(signal.Signals(number).name)


class Own:
    """The signals and the log. `keep` takes back what a user's code has set anew."""

    def __init__(self, signals: StopSignals, restore: Callable[[], bool]) -> None:
        self.signals = signals
        self._restore = restore

    def keep(self) -> None:
        """Take both back. To be called in the main thread."""
        self.signals.take_back()
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

"""Lets other threads have functions called on the event loop."""

import asyncio
import threading
from collections.abc import Callable


class OnLoop:
    """Calls functions on `loop`, from any thread. To be made in the loop's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._thread = threading.get_ident()

    @property
    def here(self) -> bool:
        """Whether this thread is the loop's."""
        return threading.get_ident() == self._thread

    def soon(self, call: Callable[[], object]) -> bool:
        """Call it in the loop's next iteration; False if the loop has closed."""
        try:
            self.loop.call_soon_threadsafe(call)
        except RuntimeError:
            return False
        return True

    def wait(self, call: Callable[[], object], seconds: float) -> bool:
        """Call it and wait `seconds` at most. False if user code blocks the loop."""
        done = threading.Event()

        def run() -> None:
            call()
            done.set()

        return not self.soon(run) or done.wait(seconds)

"""Keys that are pressed while a live view is up."""

import asyncio
import os
import select
import sys
from collections.abc import Callable
from typing import Any, Self


class Keys:
    """Takes single keys from the terminal, unseen, while the context is open.

    Where standard input is no terminal it only waits. The terminal is left as it was.
    """

    def __init__(self) -> None:
        self._before: list[Any] | None = None
        self._is_terminal = sys.stdin is not None and sys.stdin.isatty() and _in_foreground()

    def __enter__(self) -> Self:
        if self._is_terminal:
            import termios  # noqa: PLC0415 - Unix only
            import tty  # noqa: PLC0415 - the same

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            import termios  # noqa: PLC0415 - Unix only

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def on_quit(self, call: Callable[[], object]) -> None:
        """Call `call` on the running loop when q is pressed."""

        def pressed() -> None:
            found = os.read(sys.stdin.fileno(), 16)
            if b"q" in found or not found:
                loop.remove_reader(sys.stdin)
            if b"q" in found:
                call()

        loop = asyncio.get_running_loop()
        if self._is_terminal:
            loop.add_reader(sys.stdin, pressed)

    def wait(self, seconds: float) -> str:
        """Return what is pressed within `seconds`, or nothing.

        Raises:
            BrokenPipeError: nobody reads standard output any more.
        """
        poll = select.poll()
        poll.register(sys.stdout, 0)
        if self._is_terminal:
            poll.register(sys.stdin, select.POLLIN)
        for file, event in poll.poll(seconds * 1000):
            if file == sys.stdout.fileno() and event & (select.POLLERR | select.POLLHUP):
                raise BrokenPipeError
            if file == sys.stdin.fileno() and event & select.POLLIN:
                return os.read(file, 16).decode(errors="replace")
        return ""


def _in_foreground() -> bool:
    """Whether the terminal is ours: one in the background that sets it up is stopped."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # a terminal without jobs to choose from
        return True

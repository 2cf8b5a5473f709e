"""The live view of a fleet in a terminal, and the keys that are pressed meanwhile."""

import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Self

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from resonate_fleet.commands.changes import Change, Changes
from resonate_fleet.commands.ps import standing
from resonate_fleet.commands.snapshot import FleetSnapshot
from resonate_fleet.contract.screen import plain

#: Changes that stay in view.
SHOWN: Final = 10
STYLES: Final = {"strike": "bold red", "recovery": "bold green", "trouble": "bold yellow"}


class Keys:
    """Takes single keys from the terminal, without echo, while the context is open.

    Where standard input is no terminal it only waits. The terminal is left as it was.
    """

    def __init__(self) -> None:
        self._before: list[Any] | None = None
        self._is_terminal = sys.stdin is not None and sys.stdin.isatty()
        with suppress(OSError):  # a terminal without jobs to choose from
            # The system stops a background process that changes the terminal.
            self._is_terminal &= os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()

    def __enter__(self) -> Self:
        if self._is_terminal:
            import termios  # noqa: PLC0415 - Unix only
            import tty  # noqa: PLC0415 - the same

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin, termios.TCSADRAIN)  # what was pressed before counts
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            import termios  # noqa: PLC0415 - Unix only

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

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


class View:
    """A fleet below a title and words: drawn in place or, where the screen cannot, in lines.

    There is a line for each change then, after the whole picture if `picture` asks for it. `clock`
    shows when something happened, Unix seconds.
    """

    def __init__(
        self,
        screen: Console,
        title: str,
        words: str,
        clock: Callable[[float], str],
        *,
        picture: bool = False,
    ) -> None:
        self._screen, self._clock = screen, clock
        self._head = Text.assemble((title, "bold"), f"  {words}")
        self._picture = picture
        self._printed = 0
        self._changes = Changes()
        self._shown: FleetSnapshot | None = None
        can_draw = screen.is_terminal and not screen.is_dumb_terminal
        self._live = Live(console=screen, auto_refresh=False, screen=True) if can_draw else None
        #: Changes, the newest last; whoever else hears of one adds it.
        self.news: list[Change] = []
        self.trouble = ""

    def __enter__(self) -> Self:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def take(self, snapshot: FleetSnapshot) -> None:
        self.news += self._changes.take(snapshot.state)
        running = [
            msgspec.structs.replace(one, since=self._changes.since[one.task, one.attempt])
            for one in snapshot.state.running
        ]
        state = msgspec.structs.replace(snapshot.state, running=running)
        self._shown, self.trouble = FleetSnapshot(state, snapshot.source), ""

    def show(self) -> None:
        if self._live:
            self._live.update(self.drawn(), refresh=True)
            return
        if self._picture:
            self._screen.print(self.drawn())
            self._picture = False
        self.tell()

    def tell(self) -> None:
        """Print the changes that have not been printed."""
        for change in self.news[self._printed :]:
            self._screen.print(plain(f"{self._clock(change.at)}  {change.text}"), soft_wrap=True)
        self._printed = len(self.news)

    def drawn(self) -> RenderableType:
        """Return the whole picture, no larger than the screen where it is a terminal."""
        head = self._head + Text(f"  {time.strftime('%H:%M:%S')}")
        if self.trouble:
            head.append_text(plain(f"  {self.trouble}", "bold red"))
        if self._shown is None:
            return head
        news = Table.grid(padding=(0, 2, 0, 0))
        for change in self.news[-SHOWN:]:
            text = plain(change.text, STYLES.get(change.kind, ""))
            text.overflow, text.no_wrap = "ellipsis", True
            news.add_row(Text(clock(change.at), style="dim"), text)
        around = 3 + news.row_count  # with the head and two empty lines
        height = self._screen.height - around if self._screen.is_terminal else None
        return Group(head, *standing(self._shown, self._screen.width, height), Text(), news)


def clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))

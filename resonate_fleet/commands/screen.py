"""Shows a story while it happens: a live view on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from resonate_fleet.commands.story import Event, MemberStory, Running, Story
from resonate_fleet.commands.tables import natural, plain, shortened, table

#: Events that the live view shows, the newest last.
EVENTS: Final = 8
STYLES: Final = {"strike": "bold red", "recovery": "bold green", "trouble": "bold yellow"}
STATES: Final = {"up": "green", "killed": "bold red", "starting": "yellow", "stopped": "dim"}


class Screen(Protocol):
    """A context manager that shows a story's news."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def update(self, story: Story, news: Sequence[Event]) -> None: ...


class Lines:
    """Prints each event as a line, with the seconds since the story began."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def update(self, story: Story, news: Sequence[Event]) -> None:
        for event in news:
            line = f"{_since(event.at, beginning(story)):6.2f} s  {event.text}"
            self._console.print(plain(line), soft_wrap=True)


class Picture:
    """Draws members, progress and the last events in place, a few times a second.

    It has a screen of its own, so that a resized terminal shows one picture; the last one stays.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=10, screen=True)
        self._last: RenderableType = ""

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)
        self._console.print(self._last)

    def update(self, story: Story, _: Sequence[Event]) -> None:
        now, size = time.time(), self._console.size
        self._last = draw(story, beginning(story) or now, now, size.width, size.height)
        self._live.update(self._last)


def screen_for(console: Console) -> Screen:
    """Return what the terminal can show; a dumb one, and a pipe, get lines."""
    drawn = console.is_terminal and not console.is_dumb_terminal
    return Picture(console) if drawn else Lines(console)


def beginning(story: Story) -> float:
    """Return when the first thing happened, Unix seconds; 0 while nothing has."""
    return story.events[0].at if story.events else 0.0


def _since(at: float, began: float) -> float:
    return max(at - began, 0)


def draw(
    story: Story, began: float, now: float, width: int = 120, height: int = 50
) -> RenderableType:
    """Return the picture of `story` at `now`, Unix seconds, no larger than `width` and `height`."""
    events = story.events[-EVENTS:]
    members = sorted(story.members.values(), key=lambda one: natural(one.name))
    shown, more = shortened(members, height - len(events) - 4)
    rows = [_row(member, now) for member in shown]
    names = ("member", "", "runs", "done>", "busy>", "?")
    return Group(
        table(names, rows, width),
        Text(more, style="dim"),
        _progress(story, now - began, width),
        _events(events, began),
    )


def _row(member: MemberStory, now: float) -> list[object]:
    running = min(member.running.values(), key=lambda one: one.since, default=None)
    busy = member.busy + sum(now - one.since for one in member.running.values())
    return [
        member.name,
        Text(member.state, style=STATES.get(member.state, "")),
        _job(running, member.state),
        member.done,
        f"{busy:.1f} s",
        _bar(running, now),
    ]


def _job(running: Running | None, state: str) -> Text:
    if running is None:
        return Text("idle" if state == "up" else "", style="dim")
    again = f", attempt {running.attempt}" if running.attempt > 1 else ""
    return plain(running.job + again, "bold green" if again else "")


def _bar(running: Running | None, now: float) -> RenderableType:
    if running is None or not running.cost:
        return ""
    return ProgressBar(
        total=running.cost, completed=min(now - running.since, running.cost), width=20
    )


def _progress(story: Story, elapsed: float, width: int) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    counts = f"{len(story.ended)} of {story.jobs} done, {len(story.costs)} confirmed"
    room = max(10, min(40, width - len(counts) - 20))
    bar = ProgressBar(total=max(story.jobs, 1), completed=len(story.ended), width=room)
    grid.add_row("jobs", bar, counts, f"{elapsed:.1f} s")
    return grid


def _events(events: Sequence[Event], began: float) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for event in events:
        text = plain(event.text, STYLES.get(event.kind, "dim"))
        text.no_wrap, text.overflow = True, "ellipsis"
        grid.add_row(Text(f"{_since(event.at, began):6.2f} s", style="dim"), text)
    return grid

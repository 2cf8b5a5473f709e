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

from resonate_fleet.commands.story import Event, Member, Running, Story

#: Events that the live view shows, the newest last.
EVENTS: Final = 8
STYLES: Final = {"strike": "bold red", "recovery": "bold green", "trouble": "bold yellow"}
STATES: Final = {"up": "green", "killed": "bold red", "starting": "yellow", "stopped": "dim"}


class Screen(Protocol):
    """A context manager that is told of news now and then."""

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
            self._console.print(line, highlight=False, soft_wrap=True, markup=False)


class Picture:
    """Draws members, progress and the last events in place, a few times a second."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=10, transient=False)

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

    def update(self, story: Story, _: Sequence[Event]) -> None:
        now = time.time()
        self._live.update(draw(story, beginning(story) or now, now))


def beginning(story: Story) -> float:
    """Return when the first thing happened, Unix seconds; 0 while nothing has."""
    return story.events[0].at if story.events else 0.0


def _since(at: float, began: float) -> float:
    return max(at - began, 0)


def draw(story: Story, began: float, now: float) -> RenderableType:
    """Return the picture of `story` at `now`, Unix seconds."""
    return Group(_members(story, now), Text(), _progress(story, now - began), _events(story, began))


def _members(story: Story, now: float) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column, width in (("member", 20), ("", 9), ("runs", 34), ("", 22)):
        table.add_column(column, min_width=width, no_wrap=True)
    table.add_column("done", justify="right")
    table.add_column("busy", justify="right", min_width=7)
    for member in sorted(story.members.values(), key=lambda one: one.name):
        table.add_row(*_row(member, now))
    return table


def _row(member: Member, now: float) -> list[RenderableType]:
    running = min(member.running.values(), key=lambda one: one.since, default=None)
    busy = member.busy + sum(now - one.since for one in member.running.values())
    return [
        member.name,
        Text(member.state, style=STATES.get(member.state, "")),
        _job(running),
        _bar(running, now),
        str(member.done),
        f"{busy:.1f} s",
    ]


def _job(running: Running | None) -> Text:
    if running is None:
        return Text("idle", style="dim")
    again = f", attempt {running.attempt}" if running.attempt > 1 else ""
    return Text(running.job + again, style="bold green" if again else "")


def _bar(running: Running | None, now: float) -> RenderableType:
    if running is None or not running.cost:
        return ""
    return ProgressBar(
        total=running.cost, completed=min(now - running.since, running.cost), width=20
    )


def _progress(story: Story, elapsed: float) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    bar = ProgressBar(total=max(story.jobs, 1), completed=len(story.ended), width=40)
    counts = f"{len(story.ended)} of {story.jobs} done, {len(story.costs)} confirmed"
    grid.add_row("jobs", bar, counts, f"{elapsed:.1f} s")
    return grid


def _events(story: Story, began: float) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for event in story.events[-EVENTS:]:
        style = STYLES.get(event.kind, "dim")
        grid.add_row(
            Text(f"{_since(event.at, began):6.2f} s", style="dim"), Text(event.text, style=style)
        )
    return grid

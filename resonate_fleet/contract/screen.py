"""What is drawn on a terminal, by rich. Only what draws imports this: rich takes its time."""

from rich.console import Console
from rich.text import Text

from resonate_fleet.contract.shown import clean


class Screen(Console):
    """A console whose reader may leave; `fleet` ends then as it does for plain output."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def plain(text: object, style: str = "") -> Text:
    """Return foreign text as what it is: no markup, nothing that a terminal acts on."""
    return Text(clean(text), style=style)

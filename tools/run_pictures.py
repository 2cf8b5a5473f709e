"""Makes the pictures of a run for README and docs: `uv run python -m tools.run_pictures`.

The run is done first, unless its folder is given.
"""

import asyncio
import io
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from rich.console import Console
from rich.terminal_theme import MONOKAI

from resonate_fleet.chaos.__main__ import main as chaos
from resonate_fleet.commands.screen import draw
from resonate_fleet.commands.story import Story
from resonate_fleet.contract.journal import Claimed, Confirmed, Line, read_folder
from resonate_fleet.contract.run import Plan, RunFolder
from resonate_fleet.report.__main__ import judge_folder
from tests.support.browser import browser

OUT: Final = Path(__file__).parents[1] / "docs" / "pictures"
#: What is run: enough strikes for something to be seen.
SCENARIO, SEED = "kill-wave", "7"
#: The live view is drawn this long after the first job was taken up again, in seconds.
AFTER: Final = 0.4
#: Of the live view in columns; of the report in pixels: verdict, lanes and figures.
WIDTH: Final = 112
SIZE: Final = (1320, 1010)


def make(folder: RunFolder, out: Path) -> None:
    """Write OUT/live.svg and OUT/report.png of a run that has been judged."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "live.svg").write_text(live_view(folder), encoding="utf-8")
    asyncio.run(_take(folder.report.resolve().as_uri(), out / "report.png"))


async def _take(url: str, picture: Path) -> None:
    with TemporaryDirectory() as profile:
        async with browser(Path(profile), *SIZE) as page:
            await page.open(url)
            await page.picture(picture)


def live_view(folder: RunFolder) -> str:
    """Return what the live view showed shortly after the first recovery, as SVG."""
    lines = [line for line in read_folder(folder.journal) if isinstance(line, Line)]
    jobs = [line.at for line in lines if isinstance(line, Confirmed)]
    again = [line.at for line in lines if isinstance(line, Claimed) and line.attempt > 1]
    moments = again or jobs[-1:]
    now = moments[0] + AFTER if moments else 0.0
    story = Story(len(jobs))
    story.apply(line for line in lines if line.at <= now)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(draw(story, min(jobs, default=now), now, WIDTH))
    plan = msgspec.json.decode(folder.plan.read_bytes(), type=Plan)
    title = f"live: {plan.scenario}, seed {plan.seed}"
    return without_fonts(console.export_svg(title=title, theme=MONOKAI, unique_id="live"))


def without_fonts(svg: str) -> str:
    """Take out the fonts that rich would have fetched from a network; any monospaced one does."""
    plain = re.sub(r"@font-face\s*{.*?}|<!--.*?-->", "", svg, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in plain.splitlines() if line.strip()) + "\n"


def main() -> None:
    with TemporaryDirectory() as runs:
        if not sys.argv[1:]:
            chaos(["run", SCENARIO, "--seed", SEED, "--runs", runs])
        folder = Path(sys.argv[1]) if sys.argv[1:] else next(Path(runs).iterdir())
        judge_folder(folder)
        make(RunFolder(folder), OUT)


if __name__ == "__main__":
    main()

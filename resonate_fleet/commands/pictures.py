"""`fleet pictures`: makes the README's pictures from real runs, which are done first if need be."""

import io
import re
import sys
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from rich.console import Console
from rich.terminal_theme import MONOKAI

from resonate_fleet.chaos.__main__ import main as chaos
from resonate_fleet.commands.screen import draw
from resonate_fleet.commands.story import Story
from resonate_fleet.contract import exits
from resonate_fleet.contract.journal import Claimed, Confirmed, Line, read_folder
from resonate_fleet.contract.options import Parser
from resonate_fleet.contract.outputs import OutputFolder
from resonate_fleet.contract.run import Plan, RunFolder
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.report import pictures
from resonate_fleet.report.__main__ import main as report

#: What is run when no run is given: enough strikes for something to be seen.
SCENARIO: Final = "kill-wave"
SEED: Final = 7
#: The live view is drawn this long after the first job was taken up again, in seconds.
AFTER: Final = 0.4
WIDTH: Final = 112


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description=__doc__)
    made.add_argument("folder", type=Path, nargs="?", metavar="RUNFOLDER")
    out = OutputFolder("docs/pictures")
    made.add_argument("--out", type=OutputFolder, default=out, metavar="FOLDER")
    return made


def run(given: Namespace) -> int:
    """Write OUT/live.svg and OUT/report.png, from a new run where none is given.

    Returns the exit code: that of the run, 4 where a browser is missing.
    """
    if given.folder is not None:
        if not RunFolder(given.folder).plan.is_file():
            raise Mistake(f"{given.folder} is no folder of a run; accepted: such as runs/demo-7")
        return _make(RunFolder(given.folder), given.out)
    return _from_a_run(given.out)


def _from_a_run(out: Path) -> int:
    with TemporaryDirectory() as runs:
        code = chaos(["run", SCENARIO, "--seed", str(SEED), "--runs", runs])
        return code or _make(RunFolder(next(Path(runs).iterdir())), out)


def _make(folder: RunFolder, out: Path) -> int:
    code = report([str(folder.root)])
    if code not in {exits.OK, exits.BROKEN, exits.INCONCLUSIVE}:
        return code
    out.mkdir(parents=True, exist_ok=True)
    live = out / "live.svg"
    live.write_text(live_view(folder), encoding="utf-8")
    sys.stdout.write(f"{live}\n")
    return pictures.main([str(folder.root), "--out", str(out)])


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
    picture = console.export_svg(
        title=f"live: {_scenario(folder)}", theme=MONOKAI, unique_id="live"
    )
    return without_fonts(picture)


def _scenario(folder: RunFolder) -> str:
    plan = msgspec.json.decode(folder.plan.read_bytes(), type=Plan)
    return f"{plan.scenario}, seed {plan.seed}"


def without_fonts(svg: str) -> str:
    """Take out the fonts that rich would have fetched from a network; any monospaced one does."""
    plain = re.sub(r"@font-face\s*{.*?}|<!--.*?-->", "", svg, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in plain.splitlines() if line.strip()) + "\n"

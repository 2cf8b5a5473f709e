"""Makes the report's picture for README and docs: `uv run python -m tools.run_pictures`.

The run is done first, unless its folder is given.
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from resonate_fleet.chaos.__main__ import main as chaos
from resonate_fleet.contract.run import RunFolder
from resonate_fleet.report.__main__ import judge_folder
from tests.support.browser import browser

OUT: Final = Path(__file__).parents[1] / "docs" / "pictures"
#: What is run: enough strikes for something to be seen.
SCENARIO, SEED = "kill-wave", "7"
#: In pixels: verdict, lanes and figures.
SIZE: Final = (1320, 1010)


async def take(url: str, picture: Path) -> None:
    """Take a picture of a page as it is first seen."""
    with TemporaryDirectory() as profile:
        async with browser(Path(profile), *SIZE) as page:
            await page.open(url)
            await page.picture(picture)


def main() -> None:
    with TemporaryDirectory() as runs:
        if not sys.argv[1:]:
            chaos(["run", SCENARIO, "--seed", SEED, "--runs", runs])
        folder = Path(sys.argv[1]) if sys.argv[1:] else next(Path(runs).iterdir())
        judge_folder(folder)
        asyncio.run(take(RunFolder(folder).report.resolve().as_uri(), OUT / "report.png"))


if __name__ == "__main__":
    main()

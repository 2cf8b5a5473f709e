"""Makes the picture of a report: `python -m resonate_fleet.report.pictures RUNFOLDER`."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from resonate_fleet.contract import exits
from resonate_fleet.contract.run import RunFolder

#: Browsers that can do it, in the order in which they are looked for.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Of the window, in pixels: the verdict, the lanes and the figures of a run of a few members.
SIZE = (1320, 1010)
#: Longest that a browser may take, in seconds.
PATIENCE = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT/report.png from the report.html of a run.

    Returns 0, 2 where the run has no report yet, and 4 where there is no browser or it fails.
    """
    parser = argparse.ArgumentParser(prog="report.pictures", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="RUNFOLDER")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"), metavar="FOLDER")
    given = parser.parse_args(argv)
    page = RunFolder(given.folder).report
    if not page.is_file():
        print(f"{page} is not there: judge the run first", file=sys.stderr)
        return exits.USAGE
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if browser is None:
        print(f"no browser; accepted: {', '.join(BROWSERS)} on the PATH", file=sys.stderr)
        return exits.FAILED
    given.out.mkdir(parents=True, exist_ok=True)
    picture = given.out / "report.png"
    why = take(browser, page, picture)
    if why:
        print(f"{browser} made no picture: {why}", file=sys.stderr)
        return exits.FAILED
    print(picture)
    return exits.OK


def take(browser: str, page: Path, picture: Path, size: tuple[int, int] = SIZE) -> str:
    """Let a browser draw `page` into `picture`; return what went wrong, or nothing."""
    picture.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            browser,
            "--headless",
            "--no-sandbox",  # the page is our own, and containers often have no sandbox to give
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            f"--window-size={size[0]},{size[1]}",
            f"--screenshot={picture.resolve()}",
            page.resolve().as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)  # noqa: S603 - found by its name above
        except subprocess.TimeoutExpired:
            return f"nothing in {PATIENCE:g} s"
    if picture.is_file():
        return ""
    return f"exit code {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}"


if __name__ == "__main__":
    sys.exit(main())

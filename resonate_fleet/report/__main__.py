"""`python -m resonate_fleet.report RUNFOLDER`: judge a run from its files."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, guarded
from resonate_fleet.contract.paths import write
from resonate_fleet.contract.run import RunFolder
from resonate_fleet.contract.screen import Screen
from resonate_fleet.contract.settings import Mistake
from resonate_fleet.report.assembly import facts_of
from resonate_fleet.report.evidence import read_evidence
from resonate_fleet.report.facts import Facts
from resonate_fleet.report.html import page
from resonate_fleet.report.table import table
from resonate_fleet.report.verdict import Verdict, document, judge, schema


def main(argv: Sequence[str] | None = None) -> int:
    return guarded("report", lambda: run(parser("fleet report").parse_args(argv)))


def judge_folder(folder: Path) -> int:
    return main([str(folder)])


def run(given: argparse.Namespace) -> int:
    """Judge the run in a folder and write verdict.json and report.html into it.

    Returns 0 for PASS, 1 for FAIL, 3 for INCONCLUSIVE.

    Raises:
        Mistake: there is no such folder.
        CommandFailed: its files cannot be written.
    """
    if given.schema:
        sys.stdout.write(document(schema()))
        return exits.OK
    if given.folder is None:
        raise Mistake("RUNFOLDER is missing; accepted: a run's folder")
    if not given.folder.is_dir():
        raise Mistake(f"{given.folder} is not a folder; accepted: a run's folder")
    folder = RunFolder(given.folder)
    try:
        _, verdict = judged(folder)
    except OSError as error:
        says = f"{error.filename} cannot be written: {error.strerror}"
        raise exits.CommandFailed(says) from None
    if given.json:
        sys.stdout.write(document(verdict))
        return verdict.exit
    console = Screen()
    console.print(table(verdict))
    console.print(f"\nthe whole story: {folder.report}", highlight=False, soft_wrap=True)
    return verdict.exit


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description="Judge a run from its files.")
    add = made.add_argument
    add("folder", type=Path, nargs="?", metavar="RUNFOLDER", help="such as runs/one-kill")
    add("--json", action="store_true", help="print verdict.json, not the table")
    add("--schema", action="store_true", help="print verdict.json's JSON Schema")
    return made


def judged(folder: RunFolder) -> tuple[Facts, Verdict]:
    """Judge a run and write verdict and page into its folder.

    Raises:
        OSError: they cannot be written.
    """
    facts = facts_of(read_evidence(folder))
    verdict = judge(facts)
    write(folder.verdict, document(verdict).encode())
    write(folder.report, page(facts, verdict).encode())
    return facts, verdict


if __name__ == "__main__":
    sys.exit(main())

"""`fleet bench`: measure against the bound and against the plain SDK worker."""

import argparse
import asyncio
import datetime as dt
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version

import msgspec

from resonate_fleet.bench import jobs
from resonate_fleet.bench.figures import BenchReport, Figure, markdown
from resonate_fleet.bench.measures import MEASURES, measured
from resonate_fleet.bench.place import Asked
from resonate_fleet.bench.processes import NotReady
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import OutputFile, Parser, Program, guarded, typed
from resonate_fleet.contract.settings import Mistake, integer, url
from resonate_fleet.contract.wire import Refused, Unreachable

_ABOUT = "Measure the fleet against the bound and, in the same run, the plain SDK worker."
_ENDING = """\
Without --server a server is started for each measure: the embedded one, or the real one that
--server-bin names. Its settings are those that the fleet runs with. A goal that is missed is
shown, not punished: exit code 0 says that everything was measured.

`fleet bench store` prepares a store with many finished jobs for `fleet bench history`.
"""
#: What `all` leaves out: these need a store that takes a while to prepare.
_NEEDS_STORE = ("history", "searches", "prune")


def main(argv: Sequence[str] | None = None) -> int:
    return guarded("fleet bench", lambda: run(parser("fleet bench").parse_args(argv)))


def run(asked: argparse.Namespace) -> int:
    try:
        return _run(asked, shlex.join(["fleet", *sys.argv[1:]]))
    except KeyboardInterrupt:
        return exits.INTERRUPTED


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description=_ABOUT, epilog=_ENDING)
    add = made.add_argument
    names = [*MEASURES, "all"]
    add("measures", nargs="*", metavar="MEASURE", help=f"{', '.join(names)}; default: all")
    add("--server", type=typed(url()), metavar="URL", help="a server that runs already")
    add("--server-bin", type=Program, metavar="PATH", help="a real server's binary to start")
    add(
        "--seeds",
        type=typed(integer(1, 1000)),
        metavar="N",
        help="runs of each measure; default: 20",
    )
    add("--jobs", type=typed(integer(1, 10_000_000)), metavar="N", help="of the backlogs")
    add("--only", choices=["ours", "plain"], help="leave the other worker out")
    add(
        "--store",
        metavar="FILE|URL",
        help="a prepared store, for `history`, `searches` and `prune`",
    )
    add("--empty", metavar="URL", help="an empty PostgreSQL database, for `history`")
    add("--json", type=OutputFile, metavar="FILE", help="write the figures to FILE as well")
    return made


def _names(asked: argparse.Namespace) -> list[str]:
    for name in asked.measures:
        if name not in MEASURES and name != "all":
            raise Mistake(f"no measure {name!r}; accepted: {', '.join(MEASURES)}, all")
    if asked.measures and "all" not in asked.measures:
        return list(asked.measures)
    return [name for name in MEASURES if asked.store or name not in _NEEDS_STORE]


def _run(typed: argparse.Namespace, command: str) -> int:
    """Measure, and show the figures. What is there is kept even if the run is broken off."""
    given = {name: getattr(typed, name) for name in Asked.__dataclass_fields__}
    if typed.server_bin:
        given["server_bin"] = str(typed.server_bin.absolute())
    asked = msgspec.convert(given, Asked)
    report, failed = _empty_report(command), False
    for name in _names(typed):
        sys.stderr.write(f"measuring {name}\n")
        load = os.getloadavg()[0]
        try:
            server, found = asyncio.run(measured(name, asked))
        except (NotReady, Unreachable, Refused, jobs.Unfinished) as failure:
            sys.stderr.write(f"fleet bench: {name}: {failure}\n")
            failed = True
        else:
            new = [msgspec.structs.replace(one, load=round(load, 2)) for one in found]
            report = _extended(report, f"{server}{_version(asked.server_bin)}", new)
        if typed.json:
            typed.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    if report.figures:
        sys.stdout.write(markdown(report))
    return exits.FAILED if failed else exits.OK


def _empty_report(command: str) -> BenchReport:
    return BenchReport(
        command=command,
        server="",
        machine=f"{platform.machine()}, {os.cpu_count()} cores",
        versions={name: version(name) for name in ("resonate-sdk", "aiohttp", "msgspec")}
        | {"python": platform.python_version()},
        at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        took=0.0,
        load=os.getloadavg()[0],
        load_after=0.0,
        figures=[],
    )


def _extended(report: BenchReport, server: str, figures: list[Figure]) -> BenchReport:
    took = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(report.at)
    return msgspec.structs.replace(
        report,
        server=server,
        took=took.total_seconds(),
        load_after=os.getloadavg()[0],
        figures=report.figures + figures,
    )


def _version(binary: str | None) -> str:
    if binary is None:
        return ""
    shown = subprocess.run([binary, "--version"], check=False, capture_output=True, text=True)  # noqa: S603 - what the user names
    return f" {shown.stdout.strip()}"


if __name__ == "__main__":
    sys.exit(main())

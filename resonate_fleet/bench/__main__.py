"""`fleet bench`: measure against the bound and against the plain SDK worker."""

import argparse
import asyncio
import datetime as dt
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from resonate_fleet.bench.commands import batch, cancel, prune
from resonate_fleet.bench.figures import BenchFigures, BenchReport, markdown
from resonate_fleet.bench.history import history, searches
from resonate_fleet.bench.latency import console, latency
from resonate_fleet.bench.makespan import fanout, makespan, order
from resonate_fleet.bench.place import MEMORY, NEW_FILE, Asked, BenchPlace, open_place
from resonate_fleet.bench.policy import policy
from resonate_fleet.bench.recovery import recovery
from resonate_fleet.bench.simulation import simulated
from resonate_fleet.bench.throughput import throughput, waiting
from resonate_fleet.contract import exits
from resonate_fleet.contract.options import Parser, complete_with, guarded, tell, typed
from resonate_fleet.contract.paths import OutputFile, Program
from resonate_fleet.contract.settings import Mistake, integer

type Measure = Callable[[BenchPlace, Asked, BenchFigures], Awaitable[None]]

#: What `fleet bench NAME` runs, each on a server of its own.
MEASURES: dict[str, Measure] = {
    one.__name__: one
    for one in (
        makespan,
        order,
        latency,
        throughput,
        waiting,
        fanout,
        recovery,
        history,
        batch,
        cancel,
        policy,
        console,
        simulated,
        searches,
        prune,
    )
}
#: Those whose store is a file; and those that need the one that the command line names.
ON_FILE = ("waiting", "recovery", "batch", "cancel")
ON_STORE = ("history", "searches", "prune")

_ABOUT = "Measure the fleet against the bound and, in the same run, the plain SDK worker."
_ENDING = """\
A server is started for each measure: the embedded one, or the real one that --server-bin names.
Its settings are those that the fleet runs with. A goal that is missed is shown, not punished:
exit code 0 says that everything was measured.

`fleet bench store` prepares a store with many finished jobs for `history`, `searches` and `prune`.
"""


def main(argv: Sequence[str] | None = None) -> int:
    return guarded("fleet bench", lambda: run(parser("fleet bench").parse_args(argv)))


def parser(prog: str) -> Parser:
    made = Parser(prog=prog, description=_ABOUT, epilog=_ENDING)
    add = made.add_argument
    names = [*MEASURES, "all"]
    named = add("measures", nargs="*", metavar="MEASURE", help=f"{', '.join(names)}; default: all")
    complete_with(named, [*names, "store"])
    add("--server-bin", type=Program, metavar="PATH", help="a real server's binary to start")
    seeds, many = typed(integer(1, 1000)), typed(integer(1, 10_000_000))
    add("--seeds", type=seeds, metavar="N", help="runs of each measure; default: 20")
    add("--jobs", type=many, metavar="N", help="of the backlogs")
    add("--store", metavar="FILE|URL", help=f"a prepared store, for {', '.join(ON_STORE)}")
    add("--empty", metavar="URL", help="an empty PostgreSQL database, for history")
    add("--json", type=OutputFile, metavar="FILE", help="write the figures to FILE as well")
    return made


def run(typed: argparse.Namespace) -> int:
    """Measure, and show the figures. What is there is kept even if the run is broken off."""
    names, code = _names(typed), exits.OK
    binary = str(typed.server_bin.absolute()) if typed.server_bin else None
    asked = Asked(binary, typed.seeds, typed.jobs, typed.store, typed.empty)
    report, began = _empty_report(), time.monotonic()
    if binary:
        asking = [binary, "--version"]
        shown = subprocess.run(asking, check=False, capture_output=True, text=True)  # noqa: S603 - what the user names
        report.server = f"real server {shown.stdout.strip()}"
    for name in names:
        tell(f"measuring {name}")
        try:
            asyncio.run(_measure(name, asked, report))
        except exits.CommandFailed as failure:
            tell(f"fleet bench: {name}: {failure}")
            code = exits.FAILED
        except KeyboardInterrupt:
            code = exits.INTERRUPTED
        report.took, report.load_after = time.monotonic() - began, os.getloadavg()[0]
        if typed.json:
            typed.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        if code == exits.INTERRUPTED:
            break
    if report.figures:
        sys.stdout.write(markdown(report))
    return code


def _names(typed: argparse.Namespace) -> list[str]:
    for name in typed.measures:
        if name not in MEASURES and name != "all":
            raise Mistake(f"no measure {name!r}; accepted: {', '.join(MEASURES)}, all")
        if name in ON_STORE and not typed.store:
            raise Mistake(f"{name} needs --store; `fleet bench store` prepares one")
    if typed.store and "://" not in typed.store and not Path(typed.store).is_file():
        raise Mistake(f"--store is {typed.store!r}; accepted: a prepared file, or a URL")
    if typed.measures and "all" not in typed.measures:
        return list(typed.measures)
    return [name for name in MEASURES if typed.store or name not in ON_STORE]


async def _measure(name: str, asked: Asked, report: BenchReport) -> None:
    found = BenchFigures(report, name, os.getloadavg()[0])
    store = (asked.store if name in ON_STORE else None) or (NEW_FILE if name in ON_FILE else MEMORY)
    async with open_place(asked.server_bin, store) as place:
        await MEASURES[name](place, asked, found)


def _empty_report() -> BenchReport:
    return BenchReport(
        command=shlex.join(["fleet", *sys.argv[1:]]),
        machine=f"{platform.machine()}, {os.cpu_count()} cores",
        versions={name: version(name) for name in ("resonate-sdk", "aiohttp", "msgspec")}
        | {"python": platform.python_version()},
        at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        load=os.getloadavg()[0],
    )


if __name__ == "__main__":
    sys.exit(main())

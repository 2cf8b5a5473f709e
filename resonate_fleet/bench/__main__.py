"""`fleet bench`: measure against the bound and against the plain SDK worker."""

import argparse
import asyncio
import datetime as dt
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import msgspec
from rich.console import Console

from resonate_fleet.bench import history, jobs, latency, makespan, throughput
from resonate_fleet.bench.figures import Figure, Report, markdown, show
from resonate_fleet.bench.place import Kind, Place, open_place
from resonate_fleet.bench.processes import NotReady
from resonate_fleet.contract import exits
from resonate_fleet.contract.settings import url
from resonate_fleet.contract.wire import Refused, Unreachable, Wire

_ABOUT = "Measure the fleet against the bound and, in the same run, the plain SDK worker."
_ENDING = """\
Without --server a server is started: the embedded one, or the real one that --server-bin names.
The server's settings are those that the fleet runs with. A goal that is missed is shown, not
punished: exit code 0 says that everything was measured.
"""


class _Mistake(Exception):  # noqa: N818 - the user's
    """The command line was refused."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Mistake(f"{message} (`{self.prog} --help` says more)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the measures asked for; return the exit code."""
    typed = list(sys.argv[1:] if argv is None else argv)
    if typed[:1] == ["store"]:
        return history.main(typed[1:])
    try:
        return _run(_parser().parse_args(typed), shlex.join(["fleet", "bench", *typed]))
    except _Mistake as mistake:
        sys.stderr.write(f"fleet bench: {mistake}\n")
        return exits.USAGE
    except (NotReady, Unreachable, Refused, jobs.Unfinished) as failure:
        sys.stderr.write(f"fleet bench: {failure}\n")
        return exits.FAILED
    except KeyboardInterrupt:
        return exits.INTERRUPTED


def _parser() -> _Parser:
    parser = _Parser(
        prog="fleet bench",
        description=_ABOUT,
        epilog=_ENDING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("measure", nargs="?", default="all", choices=[*MEASURES, "all"], help="default: all")
    add("--server", type=_address, metavar="URL", help="a server that runs already")
    add(
        "--server-bin",
        type=os.path.abspath,
        metavar="PATH",
        help="a real server's binary to start, in memory",
    )
    add("--seeds", type=_count, metavar="N", help="runs of each measure; default: 20 or fewer")
    add("--jobs", type=_count, metavar="N", default=10_000, help="of the backlog; default: 10000")
    add("--only", choices=["ours", "plain"], help="leave the other worker out")
    add("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    add("--markdown", action="store_true", help="print the table in Markdown, to be kept")
    return parser


def _address(text: str) -> str:
    try:
        return url().read(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: {url().accepts}") from None


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: a whole number from 1 to 1000000")
    return int(text)


def _run(asked: argparse.Namespace, command: str) -> int:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        place = open_place(stack, folder, asked.server, asked.server_bin)
        loads, began = [os.getloadavg()[0]], time.monotonic()
        figures = asyncio.run(_measure(place, asked))
        loads.append(os.getloadavg()[0])
        report = Report(
            command=command,
            server=place.what + (f" {_version(asked.server_bin)}" if asked.server_bin else ""),
            machine=f"{platform.machine()}, {os.cpu_count()} cores",
            versions={name: version(name) for name in ("resonate-sdk", "aiohttp", "msgspec")}
            | {"python": platform.python_version()},
            at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            took=round(time.monotonic() - began, 1),
            load=loads[0],
            load_after=loads[1],
            figures=figures,
        )
    if asked.markdown:
        sys.stdout.write(markdown(report))
    else:
        show(report, Console(width=160))
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return exits.OK


def _version(binary: str) -> str:
    shown = subprocess.run([binary, "--version"], check=False, capture_output=True, text=True)  # noqa: S603
    return shown.stdout.strip()


async def _measure(place: Place, asked: argparse.Namespace) -> list[Figure]:
    figures: list[Figure] = []
    async with Wire(place.url) as wire:
        for name in MEASURES if asked.measure == "all" else [asked.measure]:
            sys.stderr.write(f"measuring {name}\n")
            before = os.getloadavg()[0]
            found = await MEASURES[name](place, wire, asked)
            figures += [msgspec.structs.replace(one, load=round(before, 2)) for one in found]
    return figures


def _kinds(asked: argparse.Namespace) -> list[Kind]:
    return [asked.only] if asked.only else ["ours", "plain"]


async def _makespan(place: Place, wire: Wire, asked: argparse.Namespace) -> list[Figure]:
    seeds = asked.seeds or 20
    figures = await makespan.even(place, wire, seeds, _kinds(asked))
    figures += await makespan.tailed(place, wire, seeds, _kinds(asked))
    if asked.only != "plain":
        figures += await makespan.changing(place, wire, max(1, seeds // 4))
    return figures


async def _throughput(place: Place, wire: Wire, asked: argparse.Namespace) -> list[Figure]:
    return await throughput.steady(place, wire, asked.seeds or 5, _kinds(asked))


async def _drain(place: Place, wire: Wire, asked: argparse.Namespace) -> list[Figure]:
    return await throughput.drain(place, wire, asked.jobs)


async def _latency(place: Place, wire: Wire, asked: argparse.Namespace) -> list[Figure]:
    seeds = asked.seeds or 10
    figures = await latency.idle_to_start(place, wire, seeds, _kinds(asked))
    figures += await latency.beside_busy(place, wire, seeds, _kinds(asked))
    figures += await latency.burst(place, wire, seeds, _kinds(asked))
    if asked.only == "plain":
        return figures
    figures += await latency.submission(place, wire, seeds)
    return figures + await latency.joining(place, wire, max(1, seeds // 3))


async def _idle(place: Place, _: Wire, asked: argparse.Namespace) -> list[Figure]:
    return await latency.idle(place, _kinds(asked))


type _Measure = Callable[[Place, Wire, argparse.Namespace], Awaitable[list[Figure]]]
MEASURES: dict[str, _Measure] = {
    "makespan": _makespan,
    "drain": _drain,
    "throughput": _throughput,
    "latency": _latency,
    "idle": _idle,
}

if __name__ == "__main__":
    sys.exit(main())

"""The options of each command and what it starts; imports happen when a command is used."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from resonate_fleet.commands.arguments import Mistake, Parser, address, group, number, whole
from resonate_fleet.commands.demo_plan import JOBS_A_KILL, wrong
from resonate_fleet.commands.demo_plan import Options as DemoOptions
from resonate_fleet.contract import exits, words
from resonate_fleet.contract.tuning import DRAIN_SECONDS, LEASE_SECONDS

#: Adds a command to the parser's subparsers.
Adder = Callable[[Any], None]


def _add(commands: Any, name: str, about: str, handler: Callable[[Namespace], int]) -> Parser:
    parser: Parser = commands.add_parser(
        name, prog=f"fleet {name}", description=about, allow_abbrev=False
    )
    parser.set_defaults(handler=handler)
    return parser


def _server(parser: Parser) -> None:
    default = os.environ.get("RESONATE_URL") or f"http://localhost:{words.SERVER_PORT}"
    parser.add_argument("--server", type=address, default=default, metavar="URL")


def _steward(parser: Parser) -> None:
    default = os.environ.get("FLEET_STEWARD_URL") or f"http://localhost:{words.STEWARD_PORT}"
    parser.add_argument(
        "--steward",
        type=address,
        default=default,
        metavar="URL",
        help=f"its metrics port; default: FLEET_STEWARD_URL, else {default}",
    )


def _token() -> str | None:
    """From the environment, or from the file that RESONATE_TOKEN_FILE names, as in every room."""
    given = os.environ.get("RESONATE_TOKEN")
    file = os.environ.get("RESONATE_TOKEN_FILE")
    if given or not file:
        return given or None
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except OSError as error:
        raise Mistake(f"RESONATE_TOKEN_FILE is {file!r}: {error.strerror}") from None


def demo(commands: Any) -> None:
    known = DemoOptions()
    about = "The whole story on real processes: work spreads, a worker dies, nothing is lost."
    add = _add(commands, "demo", about, _demo).add_argument
    add("--workers", type=whole(1, 50), default=known.workers, metavar="N", help="default: 3")
    add("--jobs", type=whole(1, 10_000), default=known.jobs, metavar="N", help="default: 24")
    low, high = known.costs
    longer = f"makes jobs so many times longer; default: 1, jobs of {low:g} to {high:g} s"
    add("--scale", type=number(0.01, 100), default=known.scale, metavar="X", help=longer)
    add("--seed", type=whole(0, 2**31), default=known.seed, metavar="N", help="default: 7")
    killed = "workers to kill in the middle of a job; default: 1, where there are others and jobs"
    add("--kill", type=whole(0, 49), metavar="N", help=killed)
    add("--server", type=address, metavar="URL", help="a server that runs; default: embedded")
    add("--json", type=Path, metavar="FILE", help="write the verdict with all figures there")
    add("--runs", type=Path, default=known.runs, metavar="FOLDER", help="default: runs")


def _demo(asked: Namespace) -> int:
    from resonate_fleet.commands.demo import run  # noqa: PLC0415

    names = ("workers", "jobs", "scale", "seed", "kill", "server", "json", "runs")
    given = {name: getattr(asked, name) for name in names}
    if given["kill"] is None:
        given["kill"] = 1 if asked.workers > 1 and asked.jobs >= JOBS_A_KILL else 0
    options = DemoOptions(**given, token=_token())
    mistake = wrong(options)
    if mistake:
        raise Mistake(mistake)
    return run(options)


def up(commands: Any) -> None:
    about = "A server, a steward and workers on this machine, until Ctrl-C."
    add = _add(commands, "up", about, _up).add_argument
    add("--workers", type=whole(1, 100), default=3, metavar="N", help="default: 3")
    add("--slots", type=whole(1, 1000), default=1, metavar="N", help="of each; default: 1")
    add(
        "--port",
        type=whole(1, 65_535),
        default=words.SERVER_PORT,
        metavar="N",
        help="default: 8001",
    )
    add("--server", type=address, metavar="URL", help="a server that runs; default: embedded")
    add("--store", type=Path, metavar="FILE", help="keeps all promises; default: in memory")
    add(
        "--group",
        type=group,
        default=words.DEFAULT_GROUP,
        metavar="NAME",
        help="default: worker-group",
    )
    add("--functions", metavar="MODULE", help="with `register(registry)`; default: the examples'")
    add("--lease", type=number(0.3, 86_400), default=LEASE_SECONDS, metavar="S", help="default: 60")
    add("--drain", type=number(0, 86_400), default=DRAIN_SECONDS, metavar="S", help="default: 30")
    add("--steward-port", type=whole(1, 65_535), default=words.STEWARD_PORT, metavar="N")
    add("--runs", type=Path, metavar="FOLDER", help="keeps logs and journals; default: temporary")


def _up(asked: Namespace) -> int:
    from resonate_fleet.commands.up import Options, run  # noqa: PLC0415

    given = {key: value for key, value in vars(asked).items() if key not in ("command", "handler")}
    return run(Options(**given, token=_token()))


def ps(commands: Any) -> None:
    parser = _add(commands, "ps", "Who holds what, and what waits, by the server alone.", _ps)
    _server(parser)
    back = "list failures so far back; default: 3600"
    parser.add_argument("--since", type=number(0, 10**9), default=3600, metavar="S", help=back)
    parser.add_argument("--json", action="store_true")


def _ps(asked: Namespace) -> int:
    from resonate_fleet.commands.ps import Options, run  # noqa: PLC0415

    return run(Options(server=asked.server, token=_token(), since=asked.since, json=asked.json))


def top(commands: Any) -> None:
    parser = _add(commands, "top", "The live view of a running fleet, until Ctrl-C.", _top)
    _server(parser)
    _steward(parser)
    add = parser.add_argument
    add("--interval", type=number(0.05, 3600), default=0.5, metavar="S", help="default: 0.5")
    add("--looks", type=whole(0, 10**9), default=0, metavar="N", help="end after so many looks")


def _top(asked: Namespace) -> int:
    from resonate_fleet.commands.top import Options, run  # noqa: PLC0415

    names = ("server", "steward", "interval", "looks")
    return run(Options(**{name: getattr(asked, name) for name in names}, token=_token()))


def quarantine(commands: Any) -> None:
    about = "Jobs that crashed their workers too often and were parked."
    parser = _add(commands, "quarantine", about, _quarantine)
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="list|show|redrive|reject", parser_class=Parser
    )
    described = {
        "list": "all that is parked",
        "show": "what happened to a job",
        "redrive": "give jobs back to their group; their crashes are forgotten",
        "reject": "end jobs as rejected, for whoever awaits them",
    }
    for name, says in described.items():
        one = actions.add_parser(
            name, prog=f"fleet quarantine {name}", help=says, description=says, allow_abbrev=False
        )
        if name != "list":
            one.add_argument("jobs", nargs="+", metavar="JOB")
        if name == "reject":
            one.add_argument("--why", default="rejected by hand", metavar="TEXT")
        if name in ("list", "show"):
            one.add_argument("--json", action="store_true")
        _server(one)
        _steward(one)


def _quarantine(asked: Namespace) -> int:
    from resonate_fleet.commands.quarantine import Options, run  # noqa: PLC0415

    return run(
        Options(
            action=asked.action,
            server=asked.server,
            token=_token(),
            steward=asked.steward,
            jobs=tuple(getattr(asked, "jobs", ())),
            why=getattr(asked, "why", ""),
            json=getattr(asked, "json", False),
        )
    )


def show_version(commands: Any) -> None:
    _add(commands, "version", "Print the version.", _version)


def _version(_: Namespace) -> int:
    sys.stdout.write(f"{version('resonate-fleet')}\n")
    return exits.OK


COMMANDS: tuple[Adder, ...] = (demo, up, ps, top, quarantine, show_version)


# Rooms with a command line of their own.


def chaos(arguments: list[str]) -> int:
    from resonate_fleet.chaos.__main__ import main as strike  # noqa: PLC0415
    from resonate_fleet.report.__main__ import main as judge  # noqa: PLC0415

    return strike(arguments, judge=lambda folder: judge([str(folder)]))


def report(arguments: list[str]) -> int:
    from resonate_fleet.report.__main__ import main as judge  # noqa: PLC0415

    return judge(arguments)


def bench(arguments: list[str]) -> int:
    from resonate_fleet.bench.__main__ import main as measure  # noqa: PLC0415

    return measure(arguments)


def schedule(arguments: list[str]) -> int:
    from resonate_fleet.commands.schedule import parser, run  # noqa: PLC0415

    return run(parser().parse_args(arguments))


def store(arguments: list[str]) -> int:
    from resonate_fleet.commands.store import parser, run  # noqa: PLC0415

    return run(parser().parse_args(arguments))


def docs(arguments: list[str]) -> int:
    """For who works on the fleet: write the tables that documents take from the code."""
    from resonate_fleet.commands.docs import main as write  # noqa: PLC0415 - imports every room

    return write(arguments)


def pictures(arguments: list[str]) -> int:
    """For who works on the fleet: make the pictures of the README from a real run."""
    from resonate_fleet.commands.pictures import main as make  # noqa: PLC0415 - imports every room

    return make(arguments)


ROOMS: dict[str, Callable[[list[str]], int]] = {
    "chaos": chaos,
    "report": report,
    "bench": bench,
    "schedule": schedule,
    "store": store,
    "docs": docs,
    "pictures": pictures,
}

"""The `fleet` command: the rooms of the house put together."""

import os
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from contract import exits
from fleet.arguments import Mistake, Parser, address, number, whole
from fleet.demo_plan import JOBS_A_KILL, wrong
from fleet.demo_plan import Options as DemoOptions

_ABOUT = """\
A fleet of workers for Resonate, on this machine or wherever it runs.

  fleet demo          the whole story in under a minute: work spreads over three workers, one is
                      killed in the middle of a job, its job recovers on another, nothing is lost
  fleet up            a server, a steward and workers, until Ctrl-C
  fleet ps            who holds what, which attempt, how many jobs wait
  fleet top           the same as a live view
  fleet quarantine    jobs that crashed their workers too often: list, show, redrive, reject

  fleet chaos         strike the member that holds a job; plan, run, replay
  fleet report        judge a run from its files
  fleet bench         measure against the bound and against the plain SDK worker
"""

_ENDING = """\
exit codes: 0 as promised; 1 a promise was broken; 2 wrong option or setting; 3 nothing was
proved; 4 the command itself failed; 130 Ctrl-C.

The server's address is --server, else RESONATE_URL, else http://localhost:8001.
"""

Handler = Callable[[Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    if typed and typed[0] in _ROOMS:  # the room reads its own options
        return _ROOMS[typed[0]](typed[1:])
    try:
        asked = _parser().parse_args(typed)
        handler: Handler = asked.handler
        return handler(asked)
    except Mistake as mistake:
        sys.stderr.write(f"fleet: {mistake}\n")
        return exits.USAGE
    except KeyboardInterrupt:
        return exits.INTERRUPTED


def _parser() -> Parser:
    parser = Parser(
        prog="fleet",
        description=_ABOUT,
        epilog=_ENDING,
        formatter_class=RawDescriptionHelpFormatter,
        usage="fleet COMMAND [options]",
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser, help="see above"
    )
    _demo_options(
        commands.add_parser(
            "demo", prog="fleet demo", description="The whole story on real processes."
        )
    )
    shown = commands.add_parser("version", prog="fleet version", description="Print the version.")
    shown.set_defaults(handler=_version)
    return parser


# demo


def _demo_options(parser: Parser) -> None:
    known = DemoOptions()
    add = parser.add_argument
    add("--workers", type=whole(1, 50), default=known.workers, metavar="N", help="default: 3")
    add("--jobs", type=whole(1, 10_000), default=known.jobs, metavar="N", help="default: 24")
    add(
        "--scale",
        type=number(0.01, 100),
        default=known.scale,
        metavar="X",
        help="makes every job so many times longer; default: 1, jobs of 0.5 to 3.5 s",
    )
    add("--seed", type=whole(0, 2**31), default=known.seed, metavar="N", help="default: 7")
    add(
        "--kill",
        type=whole(0, 49),
        metavar="N",
        help="workers to kill in the middle of a job; default: 1, where there are others and jobs",
    )
    add("--server", type=address, metavar="URL", help="a server that runs; default: embedded")
    add("--json", type=Path, metavar="FILE", help="write the verdict with all figures there")
    add("--runs", type=Path, default=known.runs, metavar="FOLDER", help="default: runs")
    parser.set_defaults(handler=_demo)


def _demo(asked: Namespace) -> int:
    from fleet import demo  # noqa: PLC0415 - each command imports what it needs

    names = ("workers", "jobs", "scale", "seed", "kill", "server", "json", "runs")
    given = {name: getattr(asked, name) for name in names}
    if given["kill"] is None:
        given["kill"] = 1 if asked.workers > 1 and asked.jobs >= JOBS_A_KILL else 0
    options = DemoOptions(**given, token=os.environ.get("RESONATE_TOKEN") or None)
    mistake = wrong(options)
    if mistake:
        raise Mistake(mistake)
    return demo.run(options)


def _version(_: Namespace) -> int:
    sys.stdout.write(f"{version('resonate-fleet')}\n")
    return exits.OK


# Rooms with a command line of their own.


def _chaos(arguments: list[str]) -> int:
    from chaos.__main__ import main as chaos  # noqa: PLC0415
    from report.__main__ import main as report  # noqa: PLC0415

    return chaos(arguments, judge=lambda folder: report([str(folder)]))


def _report(arguments: list[str]) -> int:
    from report.__main__ import main as report  # noqa: PLC0415

    return report(arguments)


def _bench(arguments: list[str]) -> int:
    from bench.__main__ import main as bench  # noqa: PLC0415

    return bench(arguments)


_ROOMS: dict[str, Callable[[list[str]], int]] = {
    "chaos": _chaos,
    "report": _report,
    "bench": _bench,
}


if __name__ == "__main__":
    sys.exit(main())

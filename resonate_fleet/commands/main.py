"""The `fleet` command: the rooms of the house put together."""

import signal
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence

from resonate_fleet.commands.arguments import Mistake, Parser
from resonate_fleet.commands.commands import COMMANDS, ROOMS
from resonate_fleet.contract import exits
from resonate_fleet.contract.start import let_in

_ABOUT = """\
A fleet of workers for Resonate, on this machine or wherever it runs.

  fleet demo          the whole story in under a minute: work spreads over three workers, one is
                      killed in the middle of a job, its job recovers on another, nothing is lost
  fleet up            a server, a steward and workers, until Ctrl-C
  fleet ps            who holds what, which attempt, how many jobs wait
  fleet top           the same as a live view
  fleet schedule      jobs at the times of a cron expression: add, list, show, remove
  fleet store         what the server's store holds; old jobs leave it: show, prune
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
    # Ends like Ctrl-C; where it is process 1 of a container, SIGTERM would do nothing by itself.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    let_in()
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if typed and typed[0] in ROOMS:  # the room reads its own options
            return ROOMS[typed[0]](typed[1:])
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
    for add in COMMANDS:
        add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())

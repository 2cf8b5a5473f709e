"""`python -m client`: submits jobs and ends when the server has confirmed them."""

import sys

from resonate_fleet.contract import exits
from resonate_fleet.contract.options import guarded
from resonate_fleet.contract.start import leave_when_told
from resonate_fleet.contract.std_streams import plain_streams


def main(prog: str = "python -m resonate_fleet.submit") -> int:
    leave_when_told(exits.INTERRUPTED)
    plain_streams()
    from resonate_fleet.submit import command  # noqa: PLC0415 - takes time, see contract/start.py

    return guarded("client", lambda: command.run(command.parser(prog).parse_args()))


if __name__ == "__main__":
    sys.exit(main())

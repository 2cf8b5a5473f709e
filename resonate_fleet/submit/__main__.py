"""`python -m client`: fire and forget, but not before the server has confirmed."""

import sys

from resonate_fleet.contract import exits
from resonate_fleet.contract.start import leave_when_told


def main(arguments: list[str] | None = None) -> int:
    """Run the client; return its exit code."""
    leave_when_told(exits.INTERRUPTED)
    from resonate_fleet.submit.command import run  # noqa: PLC0415 - takes time, see contract/start.py

    return run(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m resonate_fleet.steward`: looks after leases from outside."""

import sys

from resonate_fleet.contract.start import import_structlog, leave_when_told


def main() -> int:
    """Run the steward until SIGTERM or SIGINT; return the exit code."""
    leave_when_told()
    import_structlog()
    from resonate_fleet.steward.life import live  # noqa: PLC0415 - takes time, see contract/start.py

    return live()


if __name__ == "__main__":
    sys.exit(main())

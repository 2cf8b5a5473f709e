"""`python -m resonate_fleet.server [--store FILE]`."""

import sys

from resonate_fleet.contract.start import import_structlog, leave_when_told


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    leave_when_told()
    import_structlog()
    from resonate_fleet.server.life import live  # noqa: PLC0415 - takes time, see contract/start.py

    return live()


if __name__ == "__main__":
    sys.exit(main())

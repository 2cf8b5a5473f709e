"""`python -m worker`: a member of a group, until SIGTERM or SIGINT."""

import queue
import signal
import sys
from types import FrameType

from resonate_fleet.contract.start import STOPS, import_structlog, leave_when_told


def main() -> int:
    """Run the member and return the exit code."""
    leave_when_told()
    import_structlog()
    from resonate_fleet.member.life import live  # noqa: PLC0415 - takes time, see contract/start.py

    # `SimpleQueue.put` is safe in a handler that interrupts itself.
    signals: queue.SimpleQueue[str] = queue.SimpleQueue()

    def handle(number: int, _: FrameType | None) -> None:
        signals.put(signal.Signals(number).name)

    for one in STOPS:
        signal.signal(one, handle)
    return live(signals)


if __name__ == "__main__":
    sys.exit(main())

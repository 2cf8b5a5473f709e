"""`python -m worker`: a member of a group, until SIGTERM or SIGINT."""

import queue
import signal
import sys
from types import FrameType


def main() -> int:
    """Run the member and return the exit code."""
    # Before anything that takes time: as process 1 of a container a signal without a handler
    # is lost. `SimpleQueue.put` is safe in a handler that interrupts itself.
    signals: queue.SimpleQueue[str] = queue.SimpleQueue()

    def handle(number: int, _: FrameType | None) -> None:
        signals.put(signal.Signals(number).name)

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, handle)
    from worker.life import live  # noqa: PLC0415 - see above

    return live(signals)


if __name__ == "__main__":
    sys.exit(main())

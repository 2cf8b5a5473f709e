"""The first lines of a process: it sets signal handlers before it imports what takes time.

The kernel drops a signal without a handler for process 1 of a container. A SIGTERM during the start
would be lost, and the container killed at the end of its grace. So the Dockerfile blocks these
signals until Python runs, and they are handled here.
"""

import os
import signal
import sys
from types import FrameType
from typing import Any, Final

from resonate_fleet.contract import exits
from resonate_fleet.contract.std_streams import open_streams

#: Signals that ask a process to end.
STOPS: Final = (signal.SIGTERM, signal.SIGINT)


def leave_when_told(code: int = exits.OK) -> None:
    """End at once with `code` on SIGTERM or SIGINT, until the process sets handlers of its own.

    Until then it has begun nothing that must be ended in order.
    """
    open_streams()

    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(code)

    for one in STOPS:
        signal.signal(one, leave)
    let_in()


def let_in() -> None:
    """Unblock the signals that the Dockerfile blocks; one that has waited is handled at once."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def import_structlog() -> None:
    """Import structlog without rich, which would take 0.1 s; it needs it to draw exceptions.

    A module that is None in `sys.modules` counts as missing (Python's documentation). Later imports
    of rich work.
    """
    modules: dict[str, Any] = sys.modules
    if "structlog" in modules or "rich" in modules:
        return
    modules["rich"] = None
    try:
        import structlog  # noqa: F401, PLC0415 - the import is what this is for
    finally:
        del modules["rich"]

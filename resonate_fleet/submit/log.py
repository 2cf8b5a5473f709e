"""The client's log: the lines of contract.logs without structlog, which imports slowly."""

import sys
import time
from typing import Any, TextIO

import msgspec

from resonate_fleet.contract.recorder import Log
from resonate_fleet.contract.sink import lines_to

_NAMES = {10: "debug", 20: "info", 30: "warning", 40: "error"}


class JsonLog:
    """One JSON object a line, in the shape of `contract.logs`."""

    def __init__(self, who: str, stream: TextIO) -> None:
        self._who = who
        self._stream = stream

    def log(self, level: int, event: str, **fields: Any) -> None:
        line = {
            "at": round(time.time(), 6),
            "level": _NAMES.get(level, str(level)),
            "action": event,
            "who": self._who,
        }
        self._stream.write(msgspec.json.encode(line | fields).decode() + "\n")
        self._stream.flush()


class NoLog:
    def log(self, level: int, event: str, **fields: Any) -> None:
        """Write nothing: at a terminal the ids on standard output are enough."""


def make(format: str, who: str) -> Log:
    """Return the log that the setting asks for. It writes to standard error."""
    if format == "text":
        import structlog  # noqa: PLC0415 - a one-shot client need not wait

        from resonate_fleet.contract import logs  # noqa: PLC0415 - slow to import, rarely asked for

        logs.configure("text", "info", who)
        log: Log = structlog.get_logger()
        return log
    if format == "off" or (format == "auto" and sys.stderr.isatty()):
        return NoLog()
    return JsonLog(who, lines_to(sys.stderr, "log"))

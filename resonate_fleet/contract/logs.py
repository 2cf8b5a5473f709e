"""Logging: one event a line, as JSON in containers and as text on a terminal."""

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any, TextIO

import structlog

from resonate_fleet.contract.sink import lines_to

Event = MutableMapping[str, Any]


def configure(
    format: str, level: str, who: str, stream: TextIO | None = None, group: str = ""
) -> Callable[[], bool]:
    """Set up logging for this process and its libraries.

    A JSON line has `at` (Unix seconds), `level`, `action` (a stable word), `who`, `group` if there
    is one, and the event's own fields. `auto` is text on a terminal, else JSON. Lines go to
    standard error, so that a command's own output stays clean; containers collect both. A line that
    cannot be written is lost without an error (contract.sink).

    Return a function that sets all this again, and says whether somebody had changed it.
    """
    out = lines_to(stream if stream is not None else sys.stderr, "log")
    as_text = format == "text" or (format == "auto" and out.isatty())
    renderer: Any = structlog.processors.JSONRenderer(sort_keys=False)
    if as_text:
        renderer = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), event_key="action", pad_event_to=22
        )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamp({"who": who, "group": group} if group else {"who": who}),
        *([_clock] if as_text else []),
        structlog.processors.format_exc_info,
    ]
    threshold = getattr(logging, level.upper())
    settings: dict[str, Any] = {
        "processors": [*shared, renderer],
        "wrapper_class": structlog.make_filtering_bound_logger(threshold),
        "logger_factory": lambda *_: _Lines(out),
        "cache_logger_on_first_use": False,
        "context_class": dict,
    }
    handler = _handler(shared, renderer, out)
    root = logging.getLogger()
    structlog.configure(**settings)
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))
    return partial(_restore, settings, handler)


def _restore(settings: dict[str, Any], handler: logging.Handler) -> bool:
    now, root = structlog.get_config(), logging.getLogger()
    changed = any(now[name] is not value for name, value in settings.items())
    structlog.configure(**settings)
    if handler in root.handlers:
        return changed
    root.addHandler(handler)
    return True


class _Lines:
    """Writes each line at once.

    Unlike structlog's logger it has no lock: the stream takes whole lines from any thread. With a
    lock it would hang where the loss of a line is logged while the next line is written.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def msg(self, message: str) -> None:
        self._out.write(f"{message}\n")
        self._out.flush()

    debug = info = warning = error = critical = exception = log = msg


def _handler(shared: list[Any], renderer: Any, out: TextIO) -> logging.Handler:
    """Give records of the standard library's logging the same shape."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[:-1], _from_library],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    return handler


def _stamp(own: dict[str, str]) -> Any:
    def stamp(_: Any, __: str, event: Event) -> Event:
        at, level, action = round(time.time(), 6), event.pop("level"), event.pop("event")
        event.pop("action", None)  # that a function has bound to its lines
        return {"at": at, "level": level, "action": action, **own, **event}

    return stamp


def _from_library(_: Any, __: str, event: Event) -> Event:
    record = event.get("_record")
    event["text"] = event["action"]
    event["action"] = f"library.{record.name if record is not None else 'unknown'}"
    return event


def _clock(_: Any, __: str, event: Event) -> Event:
    at = event.pop("at")
    shown = time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 1000):03d}"
    return {"timestamp": shown, **event}

"""One event a line: JSON in containers, readable on a terminal."""

import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

Event = MutableMapping[str, Any]


def configure(
    format: str, level: str, who: str, stream: TextIO | None = None, group: str = ""
) -> None:
    """Set up logging for this process, the libraries' included.

    A JSON line has `at` (Unix seconds), `level`, `action` (a stable word) and `who`, the `group` of
    a process that has one, then the event's own fields. `auto` is text on a terminal and JSON
    elsewhere. Lines go to standard error so that a command's own output stays clean; containers
    collect both.
    """
    out = stream if stream is not None else sys.stderr
    as_text = format == "text" or (format == "auto" and out.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamp(who, group),
        structlog.processors.format_exc_info,
    ]
    renderer: Any
    if as_text:
        renderer = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), event_key="action", pad_event_to=22
        )
        shared.insert(-1, _clock)
    else:
        renderer = structlog.processors.JSONRenderer(sort_keys=False)
    threshold = getattr(logging, level.upper())
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    _libraries(shared, renderer, out, max(threshold, logging.WARNING))


def _libraries(shared: list[Any], renderer: Any, out: TextIO, threshold: int) -> None:
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
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)


def _stamp(who: str, group: str) -> Any:
    own = {"who": who, "group": group} if group else {"who": who}

    def stamp(_: Any, __: str, event: Event) -> Event:
        action = event.pop("event")
        stamped = {
            "at": round(time.time(), 6),
            "level": event.pop("level"),
            "action": action,
            **own,
        }
        return {**stamped, **event}

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

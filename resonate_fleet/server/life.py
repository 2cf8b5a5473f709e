"""The embedded server from its arguments to an exit code."""

import argparse
import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Sequence

import structlog

from resonate_fleet.contract import exits, logs
from resonate_fleet.contract.settings import BadSettings, load
from resonate_fleet.server.server import Server
from resonate_fleet.server.settings import DevServerSettings, foreign


def live(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it; return the exit code."""
    given = _arguments(argv)
    refused = [name for name in foreign(os.environ) if name.startswith("RESONATE_AUTH__")]
    lines = [f"{name} is set; the embedded server has no authentication" for name in refused]
    try:
        settings = load(DevServerSettings, os.environ, {"store": given.store})
    except BadSettings as bad:
        lines += bad.lines
    if lines:
        sys.stderr.write("\n".join([*lines, ""]))
        return exits.USAGE
    logs.configure(settings.log_format, settings.log_level, "devserver")
    return asyncio.run(_serve(settings))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m resonate_fleet.server",
        description="Serve the protocol of Resonate Server v0.9.8, for laptops and tests.",
        epilog="Settings come from the environment, under the real server's names.",
    )
    parser.add_argument("--store", metavar="FILE", help="keep everything in FILE, not in memory")
    return parser.parse_args(argv)


async def _serve(settings: DevServerSettings) -> int:
    log = structlog.get_logger()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    unused = foreign(os.environ)
    if unused:
        log.warning("settings.unused", names=unused)
    try:
        async with Server(settings):
            await stop.wait()
    except (OSError, sqlite3.Error) as error:
        # One line for the user, who wants no traceback.
        log.error("server.failed", why=str(error), store=settings.store)  # noqa: TRY400
        return exits.FAILED
    return exits.OK
